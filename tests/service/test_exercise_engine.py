"""Tickets on a tiny project: handing out, checking, proving. Each check runs a candidate's code in confined processes."""

import json
from pathlib import Path

import pytest

from answers.exercise import catalogue, changes, check, prove, session, workspace
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
TELLS = tiny_ticket.JUDGE.replace('because="a large order costs a member less"', 'because=f"it is {wanted}"')


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"judge_py": WEAK_JUDGE}, "wrong small-orders: is not convicted, holds"),
        ({"judge_py": TELLS}, "the message tells an expected value: 900"),
        ({"judge_py": tiny_ticket.JUDGE.replace('- v.told["percent"]', "- 20")}, "design in-place: members: wrong"),
        ({"probe_py": tiny_ticket.PROBE.replace("prices, True", "prices, False")}, "design in-place: members: wrong"),
        (
            {"probe_py": "def probe(p):\n    p.told['nothing']\n"},
            "the probe of q01-members-pay-less is broken: KeyError",
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
