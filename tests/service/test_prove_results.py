"""Keeps the results of `answers prove` with the code that they are about, and hands out exercises."""

import hashlib
import json
import shutil
import subprocess

import pytest

from answers.proof.catalog import load_faults, load_questions
from answers.proof.faults import fault_token
from answers.proof.results import recorded
from support.tiny_project import FAULT, TEST, Project

STALE = "proven, code changed since"


def show_results(project) -> dict:
    """Return what is recorded of each claim, as `answers prove --show` says it."""
    root = project.root
    return recorded(root, load_questions(root), load_faults(root))["claims"]


@pytest.mark.claim("9.6")
def test_a_result_says_which_tree_it_is_about(project):
    subprocess.run(["git", "init", "-q", str(project.root)], check=True)
    subprocess.run(["git", "-C", str(project.root), "add", "."], check=True)
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(project.root), *author, "commit", "-qm", "One"], check=True)
    commit = subprocess.run(
        ["git", "-C", project.root, "rev-parse", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    done = project.prove("1.1")
    assert f"about {project.root} at {commit[:12]}; kept in {project.root}/results/prove.json" in done.stdout
    results = json.loads((project.root / "results/prove.json").read_text())
    claim = results["claims"]["1.1"]
    assert results["schema"] == 2
    assert (claim["commit"], claim["dirty"], claim["tree"]["path"]) == (commit, False, str(project.root))
    digest = hashlib.sha256((project.root / "shop/price.py").read_bytes()).hexdigest()
    assert claim["files"]["shop/price.py"] == digest
    assert set(claim["files"]) == {"shop/price.py", "tests/unit/test_price.py"}


@pytest.mark.claim("9.6")
def test_proven_becomes_code_changed_since_by_itself(project):
    project.write("shop/tax.py", "VAT = 1\n")
    project.write_faults({"file": "shop/tax.py", "find": "1", "replace": "2"})
    project.prove()
    price = (project.root / "shop/price.py").read_text()
    texts = [project.claim("1.1") | {"text": "Wrong."}, project.claim("1.2")]
    changes = {
        "shop/price.py": lambda: project.write("shop/price.py", price.replace("sum(prices)", "0")),
        "tests/unit/test_price.py": lambda: (project.root / "tests/unit/test_price.py").unlink(),
        "tests/unit/test_more.py": lambda: project.write("tests/unit/test_more.py", TEST),
        "shop/tax.py": lambda: project.write("shop/tax.py", "VAT = 0\n"),  # no anchor, and a fault's place
        "its text": lambda: project.write_question(claims=texts),
    }
    for named, change in changes.items():
        before = {path: path.read_bytes() for path in project.root.rglob("*") if path.is_file()}
        assert show_results(project)["1.1"]["state"] == "proven", "what was undone leaves it proven"
        change()
        claim = show_results(project)["1.1"]
        assert (claim["state"], claim["changed"], claim["elsewhere_changed"]) == (STALE, [named], False)
        if named == "shop/price.py":
            done = project.prove("--show", "1.1")
            assert done.returncode == 1
            assert STALE in done.stdout
            assert named in done.stdout
            assert json.loads(project.prove("--show", "--json", "1.1").stdout)["claims"] == {"1.1": claim}
        for path in [path for path in project.root.rglob("*") if path.is_file() and path not in before]:
            path.unlink()
        for path, content in before.items():
            assert path.name != "prove.json" or path.read_bytes() == content, "what is shown was written"
            path.write_bytes(content)


@pytest.mark.claim("9.6")
def test_an_edit_while_the_tests_run_counts_as_a_change(project):
    edit = 'import pathlib\npathlib.Path("shop/price.py").open("a").write("# edited\\n")\n'
    project.write("tests/unit/test_price.py", edit + TEST)
    done = project.prove("1.2")
    assert done.returncode == 1
    assert STALE in done.stdout


def test_a_change_of_other_code_is_told_and_the_claim_stays_proven(project):
    project.write("shop/tax.py", "VAT = 1\n")
    project.prove()
    project.write("README.md", "Prices.\n")
    assert not show_results(project)["1.1"]["elsewhere_changed"], "a document is no code"
    project.write("shop/tax.py", "VAT = 2\n")
    claim = show_results(project)["1.1"]
    assert (claim["state"], claim["elsewhere_changed"]) == ("proven", True)
    assert "1.1, 1.2: other code has changed since they were tested" in project.prove("--show").stdout
    project.write(".answers/exercise.json", "{}")  # an exercise has no faults, whose files count as the claim's
    assert show_results(project)["1.1"]["state"] == STALE


@pytest.mark.claim("9.6")
@pytest.mark.parametrize("differs", [True, False])
def test_a_result_of_another_tree_is_none_of_this_one_unless_they_are_the_same(project, tmp_path, monkeypatch, differs):
    monkeypatch.setenv("ANSWERS_RESULTS", str(tmp_path / "results"))
    project.write("shop/tax.py", "VAT = 1\n")
    project.write_faults({})
    project.prove()
    project.prove("--faults", "1.1")
    shutil.copytree(project.root, tmp_path / "other")
    other = Project.at(tmp_path / "other")
    if differs:
        other.write("shop/tax.py", "VAT = 2\n")
    claim = show_results(other)["1.1"]
    assert claim["state"] == ("unproven" if differs else "proven")
    assert claim["faults"][0]["state"] == ("not run" if differs else "caught")
    assert not differs or claim["reason"] == f"seen in {project.root}, whose code is not that of {other.root}"


def test_a_verdict_is_of_the_code_that_it_was_seen_of(project):
    project.write_faults({})
    project.prove("--faults", "1.1")
    assert show_results(project)["1.1"]["faults"][0]["state"] == "caught"
    project.write("shop/price.py", "# more\n" + (project.root / "shop/price.py").read_text())
    (fault,) = show_results(project)["1.1"]["faults"]
    assert (fault["state"], fault["changed"]) == ("caught, code changed since", ["shop/price.py"])


def test_a_file_of_an_older_schema_is_no_result(project):
    project.write("results/prove.json", json.dumps({"schema": 1, "claims": {"1.1": {"status": "proven"}}}))
    assert {claim["state"] for claim in show_results(project).values()} == {"unproven"}


def test_an_anchor_that_leads_nowhere_is_told_before_any_test_runs(project):
    project.write_question(claims=[project.claim("1.1", "shop/price.py:sum_up"), project.claim("1.2")])
    done = project.prove()
    assert done.returncode == 2
    assert "shop/price.py has no 'sum_up'" in done.stderr
    assert "test_price.py" not in done.stderr


@pytest.mark.claim("9.6")
def test_an_exercise_is_a_copy_that_misbehaves_and_does_not_tell_why(project, tmp_path):
    project.write_faults({})
    done = project.prove("--apply", FAULT["id"], "--to", str(tmp_path / "exercise"))
    assert done.returncode == 0, done.stderr
    assert "misbehaves: Bills are too low.\n" in done.stdout
    exercise = tmp_path / "exercise"
    assert "sum(prices[:-1])" in (exercise / "shop/price.py").read_text()
    assert not (exercise / "tests/faults").exists()
    assert "Bills are too low." in (exercise / "TICKET.md").read_text()
    diff = subprocess.run(["git", "-C", exercise, "diff", "HEAD"], capture_output=True, text=True)
    assert (diff.returncode, diff.stdout) == (0, ""), "the difference would tell the fault"
    note = json.loads((exercise / ".answers/exercise.json").read_text())
    assert (note["kind"], note["question"]) == ("fault", "q01")
    assert note["fault"] == fault_token(FAULT["id"], note["salt"])
    assert note["fault"] != fault_token(FAULT["id"], "another salt")
    again = project.prove("--apply", FAULT["id"], "--to", str(exercise))
    assert again.returncode == 2
    assert "is not empty" in again.stderr


def test_an_exercise_is_proven_as_what_it_is(project, tmp_path):
    project.write_faults({})
    project.prove("--apply", FAULT["id"], "--to", str(tmp_path / "exercise"))
    exercise = Project.at(tmp_path / "exercise")
    assert exercise.prove().returncode == 1
    assert {id_: claim["status"] for id_, claim in exercise.claims().items()} == {"1.1": "failed", "1.2": "proven"}
    exercise.write("shop/price.py", "def add_up(prices):\n    return sum(prices)\n\n\ntotal = add_up\n")
    assert exercise.prove().returncode == 0, "a repair that is another one than the original"
    (exercise.root / "tests/unit/test_price.py").write_text(
        TEST.replace("shop.price", "shop.prices").replace("total", "bill")
    )
    (exercise.root / "shop/price.py").unlink()
    exercise.write("shop/prices.py", "def bill(prices):\n    return sum(prices)\n")
    done = exercise.prove()
    assert done.returncode == 0, "a repair that moves what an anchor leads to"
    assert "shop/price.py:no total" in done.stdout


@pytest.mark.parametrize("arguments", [["--faults"], ["--apply", FAULT["id"], "--to", "x"]])
def test_an_exercise_has_no_faults_to_try_or_to_hand_out(project, tmp_path, arguments):
    project.write_faults({})
    project.prove("--apply", FAULT["id"], "--to", str(tmp_path / "exercise"))
    done = Project.at(tmp_path / "exercise").prove(*arguments)
    assert done.returncode == 2
    assert "this copy was handed out as an exercise and has no faults: ask whoever made it" in done.stderr
