"""Tickets on a tiny project: handing out, checking, proving. Each check runs a candidate's code in confined processes."""

import json
import shutil
from pathlib import Path

import pytest

from answers.exercise import catalogue, changes, check, handout, prove, session, workspace
from support import tiny_ticket
from support.tiny_project import Project

IN_PLACE = """
def total(prices, member=False):
    less = 10 if member and len(prices) >= 3 else 0
    return sum(prices) * (100 - less) // 100
"""
OTHERWISE = """
from shop.discount import of

def total(prices, member=None):
    return sum(prices) - (of(prices) if member else 0)
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "project").mkdir()
    return tiny_ticket.tracked(_with_ticket(Project(tmp_path / "project")))


def _with_ticket(project: Project, **changes) -> Project:
    tiny_ticket.write_ticket(project, **changes)
    return project


@pytest.fixture
def copy(project: Project, tmp_path: Path) -> workspace.Workspace:
    ticket = catalogue.find(project.root, tiny_ticket.ID)
    return workspace.start(project.root, ticket, 1, tmp_path / "copy", minutes=15)


def run(project: Project, copy: workspace.Workspace) -> check.Result:
    return session.check(project.root, copy)


def verdicts(result: check.Result) -> dict[str, str]:
    return {stage.id: stage.verdict for stage in result.stages}


def test_a_ticket_is_proven_from_both_sides(project):
    proof = prove.prove(project.root, catalogue.find(project.root, tiny_ticket.ID), jobs=2)
    assert proof.problems == []
    assert [(case["kind"], case["by"]) for case in proof.cases] == [
        ("untouched", "members"),
        *[("design", "")] * 4,
        ("wrong", "others"),
        ("wrong", "few"),
        ("wrong", "members"),
    ]


WEAK_JUDGE = tiny_ticket.JUDGE.replace('same(seen.value("few"), sum(v.hidden["prices"][:2])', "same(True, True")
TYPED = tiny_ticket.JUDGE.replace('sum(v.hidden["prices"]) * (100 - v.told["percent"]) // 100', "900")
TELLS = tiny_ticket.JUDGE.replace('because="a large order costs a member less"', 'because=f"it is {wanted}"')


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"judge_py": WEAK_JUDGE}, "wrong small-orders: is not convicted, holds"),
        ({"judge_py": TYPED}, "members: judge.py has the number 900, which is expected of hidden data"),
        ({"judge_py": TELLS}, "the message tells an expected value: 900"),
        ({"judge_py": tiny_ticket.JUDGE.replace('- v.told["percent"]', "- 20")}, "design in-place: members: wrong"),
        ({"probe_py": tiny_ticket.PROBE.replace("prices, True", "prices, False")}, "design in-place: members: wrong"),
        (
            {"probe_py": "def probe(p):\n    p.told['nothing']\n"},
            "the probe is broken: KeyError",
        ),
    ],
)
def test_a_ticket_whose_checks_are_weak_or_unfair_is_not_proven(tmp_path, changed, problem):
    (tmp_path / "project").mkdir()
    project = tiny_ticket.tracked(_with_ticket(Project(tmp_path / "project"), **changed))
    proof = prove.prove(project.root, catalogue.find(project.root, tiny_ticket.ID))
    assert any(problem in found for found in proof.problems), proof.problems


def test_a_right_change_holds_whatever_its_design_and_the_candidates_git_stays_as_it_is(project, copy):
    (copy.folder / "shop/discount.py").write_text(
        "def of(order):\n    return sum(order) // 10 if len(order) > 2 else 0\n"
    )
    (copy.folder / "shop/price.py").write_text(OTHERWISE)
    before = _git(copy, "status", "--porcelain")
    result = run(project, copy)
    assert (result.verdict, result.exit_code) == ("holds", 0), result.stages
    assert (_git(copy, "status", "--porcelain"), _git(copy, "stash", "list")) == (before, "")
    assert _git(copy, "log", "--format=%s") == "Start\n"
    assert "discount.py" in _git(copy, "show", "--stat", "refs/answers/checks/1")


def test_a_wrong_change_is_told_what_it_does_and_never_what_was_expected(project, copy):
    (copy.folder / "shop/price.py").write_text(IN_PLACE.replace("10 if", "15 if"))
    result = run(project, copy)
    assert (result.verdict, result.exit_code) == ("does not hold", 1)
    assert verdicts(result) == {
        **dict.fromkeys(("delivered", "bounds", "parses", "keeps", "others"), "holds"),
        "members": "wrong",
        "few": "not looked at",
    }
    public = json.loads((copy.folder / ".answers/checks/1.json").read_text())
    (stage,) = (stage for stage in public["stages"] if stage["verdict"] == "wrong")
    assert stage["seen"] == "a member's bill: 850"
    assert "900" not in json.dumps(public)
    kept = json.loads(next(project.root.glob(".answers/interviews/*/checks/1/verdict.json")).read_text())
    assert [each["expected"] for each in kept["stages"] if each["verdict"] == "wrong"] == [900]


def test_what_is_not_the_candidates_to_change_is_named_and_not_used(project, copy):
    (copy.folder / "shop/price.py").write_text(IN_PLACE)
    (copy.folder / "TICKET.md").unlink()
    for name in ("tests/support/expected.py", "shop/till.py", "conftest.py", "tests/conftest.py"):
        (copy.folder / name).parent.mkdir(exist_ok=True)
        (copy.folder / name).write_text("raise SystemExit\n")
    (copy.folder / "shop/link.py").symlink_to("/etc/passwd")
    result = run(project, copy)
    assert result.verdict == "holds", result.stages
    assert result.outside == [
        "conftest.py",
        "shop/link.py",
        "shop/till.py",
        "tests/conftest.py",
        "tests/support/expected.py",
    ]


@pytest.mark.parametrize(
    ("code", "stage", "seen"),
    [
        (None, "delivered", "nothing was changed yet"),
        ("def total(prices:\n", "parses", "shop/price.py, line 1"),
        ("def totals(prices):\n    return sum(prices)\n", "keeps", "fails: "),
        ("import os\n\n\ndef total(*prices):\n    os._exit(0)\n", "others", "the process ended without an answer"),
    ],
)
def test_a_change_that_is_no_answer_is_said_in_one_line(project, copy, code, stage, seen):
    if code:
        (copy.folder / "shop/price.py").write_text(code)
    result = run(project, copy)
    assert result.first_wrong
    assert (result.first_wrong.id, result.exit_code) == (stage, 1)
    assert seen in result.first_wrong.seen


def _git(copy: workspace.Workspace, *arguments: str) -> str:
    return changes.git(copy.folder, *arguments).decode()


def test_a_second_check_of_the_same_copy_waits_for_nobody_and_says_so(project, copy):
    with workspace.alone(copy), pytest.raises(catalogue.ExerciseError, match=r"another check of .* is at work"):
        run(project, copy)


def test_a_kit_that_is_newer_than_the_copy_is_merged_or_said(project, copy, tmp_path):
    (copy.folder / "shop/price.py").write_text(IN_PLACE)
    (copy.folder / "shop/new.py").write_text("A = 1\n")
    project.write("shop/price.py", (project.root / "shop/price.py").read_text().replace('"EUR"', '"EUR"  # since 2002'))
    project.write("shop/other.py", "B = 2\n")
    result = run(project, copy)
    assert (result.verdict, result.exit_code) == ("could not be told", 2)
    (stage,) = (stage for stage in result.stages if stage.verdict == "cannot tell")
    assert "shop/price.py was changed here and, since this copy was made, in the kit too" in stage.because

    (copy.folder / "shop/price.py").write_text('CURRENCY = "EUR"\n\n' + IN_PLACE)
    moved = workspace.find(shutil.move(copy.folder, tmp_path / "another disk"))
    assert run(project, moved).verdict == "holds"


def test_what_is_put_back_is_kept_first(project, copy):
    (copy.folder / "shop/price.py").write_text(IN_PLACE)
    (copy.folder / "shop/new.py").write_text("A = 1\n")
    with pytest.raises(catalogue.ExerciseError, match=r"shop/nothing\.py is not in the copy"):
        workspace.reset(copy, ["shop/nothing.py"])
    kept, changed = workspace.reset(copy, ["shop/price.py"])
    assert changed == ["shop/price.py"]
    assert "member" not in (copy.folder / "shop/price.py").read_text()
    assert "member" in _git(copy, "show", f"{kept}:shop/price.py")
    kept, changed = workspace.reset(copy, [])
    assert changed == ["shop/new.py"]
    assert _git(copy, "show", f"{kept}:shop/new.py") == "A = 1\n"
    assert _git(copy, "status", "--porcelain") == ""


def test_hints_are_shown_one_at_a_time_and_noted(copy):
    texts = []
    for _ in range(4):
        copy, number, text = workspace.next_hint(copy)
        texts.append((number, text))
    assert [number for number, _ in texts] == [1, 2, 3, 3]
    assert texts[0][1] == tiny_ticket.EXERCISE["hints"][0]
    assert [each["hint"] for each in copy.note["hints_used"]] == [1, 2, 3]


def test_a_fault_is_checked_by_the_kits_tests_and_not_by_those_of_the_copy(tmp_path):
    (tmp_path / "project").mkdir()
    project = Project(tmp_path / "project")
    project.write_faults({})
    # A confined process cannot read this checkout, where the real plugin is; a real project has its own.
    project.write(
        "tests/conftest.py", "def pytest_addoption(parser):\n    parser.addoption('--claim', action='append')\n"
    )
    tiny_ticket.tracked(project)
    handout.start(project.root, "fault:1.1-drops-the-last", tmp_path / "copy", None, None, None, False, None)
    copy = workspace.find(tmp_path / "copy")
    assert "1.1-drops-the-last" not in json.dumps(copy.note)
    (copy.folder / "tests/unit/test_price.py").write_text("")
    (copy.folder / "shop/price.py").write_text("def total(prices):\n    return sum(prices[:-1]) or 0\n")
    still = session.check(project.root, copy)
    assert (still.exit_code, [stage.id for stage in still.stages]) == (1, ["claim"]), (still.stages, still.log)
    (copy.folder / "shop/price.py").write_text(
        "import math\n\n\ndef total(prices):\n    return int(math.fsum(prices))\n"
    )
    repaired = session.check(project.root, copy)
    assert (repaired.verdict, repaired.outside) == ("holds", ["tests/unit/test_price.py"]), repaired.stages
