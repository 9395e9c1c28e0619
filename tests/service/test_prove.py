"""The mechanism behind `answers prove`, tried on a tiny project of its own with real pytest processes."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from answers.proof.catalog import load_faults, load_questions
from answers.proof.faults import fault_token
from answers.proof.results import recorded
from answers.proof.runner import run_tests
from include.waiting import patience
from support import wait_for
from support.tiny_project import FAULT, TEST, Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch) -> Project:
    monkeypatch.delenv("ANSWERS_RESULTS", raising=False)
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project")


def test_claims_whose_tests_pass_are_proven_and_recorded(project):
    done = project.prove()
    assert done.returncode == 0, done.stderr
    assert "shop/price.py:4" in done.stdout
    claim = project.claims()["1.1"]
    assert claim["status"] == "proven"
    assert [test["outcome"] for test in claim["tests"]] == ["passed", "passed"]
    assert claim["anchors"] == [{"anchor": "shop/price.py:total", "file": "shop/price.py", "line": 4}]


def test_json_is_all_that_goes_to_stdout(project):
    done = project.prove("1.2", "--json")
    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout)["claims"]) == ["1.2"]


def test_a_failing_test_makes_its_claim_failed_and_leaves_the_other_alone(project):
    project.write("shop/price.py", "def total(prices):\n    return 0\n")
    done = project.prove()
    assert done.returncode == 1
    assert {id_: claim["status"] for id_, claim in project.claims().items()} == {"1.1": "failed", "1.2": "proven"}
    assert "assert 0 == 1" in done.stderr


def test_what_was_not_asked_for_keeps_its_last_result(project):
    project.prove("1.1")
    assert project.claims()["1.2"]["status"] == "unproven"
    project.prove("1.2")
    assert {claim["status"] for claim in project.claims().values()} == {"proven"}


@pytest.mark.parametrize(
    ("mark", "reason"), [("skip(reason='no docker')", "skipped: Skipped: no docker"), ("slow", "no test carries")]
)
def test_a_claim_without_a_test_that_ran_is_unproven(project, mark, reason):
    claimed = TEST.replace('claim("1.2")', mark)
    project.write(
        "tests/unit/test_price.py", claimed if mark == "slow" else TEST + "\npytestmark = pytest.mark." + mark
    )
    done = project.prove("1.2")
    assert done.returncode == 1
    assert project.claims()["1.2"]["status"] == "unproven"
    assert reason in project.claims()["1.2"]["reason"]


def test_a_test_file_that_cannot_be_imported_fails_its_claims_only(project):
    project.write(
        "tests/unit/test_broken.py", 'import pytest, nowhere\n@pytest.mark.claim("1.2")\ndef test_it(): ...\n'
    )
    assert project.prove().returncode == 1
    assert {id_: claim["status"] for id_, claim in project.claims().items()} == {"1.1": "proven", "1.2": "failed"}


def test_a_test_process_that_dies_fails_the_claims_it_left_unfinished(project):
    project.write(
        "shop/price.py", "import os\n\n\ndef total(prices):\n    return os._exit(0) if not prices else sum(prices)\n"
    )
    done = project.prove()
    assert done.returncode == 1
    assert {id_: claim["status"] for id_, claim in project.claims().items()} == {"1.1": "proven", "1.2": "failed"}


def test_an_unknown_claim_is_refused_with_those_that_exist(project):
    done = project.prove("1.7")
    assert done.returncode == 2
    assert "unknown: 1.7. Questions: q01. Claims: 1.1, 1.2." in done.stderr


def test_a_question_without_claims_is_not_proven(project):
    project.write_question()
    assert project.prove("q01").returncode == 1


@pytest.mark.parametrize("tier", ["compose", "kubernetes"])
def test_tests_of_a_tier_that_needs_another_machine_run_only_when_asked_for(project, tier):
    project.write(f"tests/{tier}/test_up.py", 'import pytest\n@pytest.mark.claim("1.2")\ndef test_up(): ...\n')
    project.prove("1.2")
    assert len(project.claims()["1.2"]["tests"]) == 1
    project.prove("1.2", f"--{tier}")
    assert len(project.claims()["1.2"]["tests"]) == 2


@pytest.mark.claim("9.5")
def test_a_fault_that_a_test_notices_is_caught(project):
    project.write_faults({})
    done = project.prove("--faults", "1.1")
    assert done.returncode == 0, done.stderr + done.stdout
    (fault,) = project.claims()["1.1"]["faults"]
    assert fault["verdict"] == "caught"
    assert fault["failing_test"].startswith("tests/unit/test_price.py::test_total_counts_every_price[")
    assert "sum(prices)" in (project.root / "shop/price.py").read_text(), "the project itself was changed"


def test_verdicts_outlive_a_later_run_of_the_claims(project):
    project.write_faults({})
    project.prove("--faults", "1.1")
    project.prove()
    assert project.claims()["1.1"]["faults"][0]["verdict"] == "caught"


@pytest.mark.claim("9.5")
def test_a_fault_that_no_test_notices_is_reported(project):
    project.write_faults({"find": '"EUR"', "replace": '"USD"'})
    done = project.prove("--faults", "1.1")
    assert done.returncode == 1
    assert project.claims()["1.1"]["faults"][0]["verdict"] == "not caught"
    assert "not caught" in done.stdout


@pytest.mark.claim("9.5")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"replace": "sum(prices"}, "SyntaxError: code that cannot be imported"),
        ({"find": "def total", "replace": "def sum_"}, "ImportError: code that cannot be imported"),
        ({"find": "average(prices)"}, "find: occurs 0 times in shop/price.py, must be exactly once"),
        ({"find": "prices"}, "find: occurs 2 times in shop/price.py, must be exactly once"),
        ({"file": "shop/tax.py"}, "cannot read shop/tax.py"),
        ({"tests": ["tests/unit/test_price.py::test_nothing_costs_nothing"]}, "claim 1.1 has no test"),
    ],
)
def test_a_fault_that_shows_nothing_is_an_error_and_not_caught(project, change, reason):
    project.write_faults(change)
    done = project.prove("--faults", "1.1")
    assert done.returncode == 1
    fault = project.claims()["1.1"]["faults"][0]
    assert fault["verdict"] == "error"
    assert reason in fault["reason"]


def test_a_fault_that_breaks_collection_is_an_error_and_not_caught(project):
    project.write("tests/unit/test_price.py", "from shop import price\n" + TEST)
    project.write_faults({"find": "def total", "replace": "raise RuntimeError\n\n\ndef total"})
    assert project.prove("--faults", "1.1").returncode == 1
    fault = project.claims()["1.1"]["faults"][0]
    assert fault["verdict"] == "error"
    assert "pytest ended with 2" in fault["reason"]


def test_a_test_that_hangs_and_cannot_be_failed_is_ended(project, monkeypatch):
    monkeypatch.setenv("ANSWERS_PATIENCE", "1")
    hangs = 'import pytest, threading\n@pytest.mark.claim("1.2")\ndef test_it(): threading.Event().wait()\n'
    project.write("tests/unit/test_hang.py", hangs)
    run = run_tests(project.root, ["tests/unit/test_hang.py"], dict(os.environ), patience=15)
    assert [test.outcome for test in run.of("1.2")] == ["unfinished"]
    assert run.output.endswith("ended, as it went on after 15 s")


@pytest.mark.claim("9.5")
def test_a_fault_proves_nothing_when_the_tests_fail_without_it(project):
    project.write("shop/price.py", "def total(prices):\n    return sum(prices) + 1\n")
    project.write_faults({})
    assert project.prove("--faults", "1.1").returncode == 1
    fault = project.claims()["1.1"]["faults"][0]
    assert fault["verdict"] == "error"
    assert fault["reason"].startswith("without the fault, ")


def test_faults_are_tried_side_by_side_and_only_by_the_tests_they_name(project):
    named = "tests/unit/test_price.py::test_total_counts_every_price"
    project.write_faults({"tests": [named]}, {"id": "1.2-one-too-many", "claim": "1.2", "replace": "sum(prices) + 1"})
    done = project.prove("--faults", "--jobs", "2")
    assert done.returncode == 0, done.stderr + done.stdout
    assert [claim["faults"][0]["verdict"] for claim in project.claims().values()] == ["caught", "caught"]


@pytest.mark.claim("9.5")
def test_a_claim_without_a_fault_is_not_proven_by_faults(project):
    project.write_faults({})
    done = project.prove("--faults")
    assert done.returncode == 1
    assert "no fault is known for: 1.2" in done.stdout


def test_only_files_that_git_does_not_ignore_are_copied(project):
    subprocess.run(["git", "init", "-q", str(project.root)], check=True)
    project.write(".gitignore", "/secret\n/results/\n")
    project.write("secret", "42")
    project.write("tests/unit/test_copy.py", COPY_TEST)
    project.write_faults({"claim": "1.2", "replace": "sum(prices) + 1"})
    done = project.prove("--faults", "1.2")
    assert done.returncode == 0, done.stderr + done.stdout


COPY_TEST = """
from pathlib import Path
import pytest

@pytest.mark.claim("1.2")
def test_nothing_ignored_is_here():
    assert Path(".gitignore").exists() and not Path("secret").exists()
"""


@pytest.mark.parametrize("arguments", [["1.2"], ["--faults", "1.2"]])
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_tests_in_good_order_and_leaves_nothing(project, arguments, kind, tmp_path):
    project.write("tests/unit/test_price.py", SLOW_TEST.format(sign=str(tmp_path / "sign")))
    project.write_faults({"claim": "1.2", "replace": "sum(prices) + 1"})
    process = project.start(*arguments)
    sign = tmp_path / "sign"
    wait_for("the test to start", lambda: sign.exists() and sign.read_text(), 60, pause=0.05)
    sleeper = int(sign.read_text())
    process.send_signal(kind)
    process.communicate(timeout=patience(60))
    assert process.returncode == 130
    assert sign.read_text() == "torn down"
    assert list(tmp_path.joinpath("scratch").iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(sleeper, 0)


SLOW_TEST = """
import subprocess, time
from pathlib import Path
import pytest

@pytest.fixture
def stack():
    process = subprocess.Popen(["sleep", "600"])
    Path("{sign}").write_text(str(process.pid))
    yield
    process.kill()
    process.wait()
    Path("{sign}").write_text("torn down")

@pytest.mark.claim("1.2")
def test_it_takes_long(stack):
    time.sleep(600)
"""


STALE = "proven, code changed since"


def shown(project) -> dict:
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
        assert shown(project)["1.1"]["state"] == "proven", "what was undone leaves it proven"
        change()
        claim = shown(project)["1.1"]
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
    assert not shown(project)["1.1"]["elsewhere_changed"], "a document is no code"
    project.write("shop/tax.py", "VAT = 2\n")
    claim = shown(project)["1.1"]
    assert (claim["state"], claim["elsewhere_changed"]) == ("proven", True)
    assert "1.1, 1.2: other code has changed since they were tested" in project.prove("--show").stdout
    project.write(".answers/exercise.json", "{}")  # an exercise has no faults, whose files count as the claim's
    assert shown(project)["1.1"]["state"] == STALE


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
    claim = shown(other)["1.1"]
    assert claim["state"] == ("unproven" if differs else "proven")
    assert claim["faults"][0]["state"] == ("not run" if differs else "caught")
    assert not differs or claim["reason"] == f"seen in {project.root}, whose code is not that of {other.root}"


def test_a_verdict_is_of_the_code_that_it_was_seen_of(project):
    project.write_faults({})
    project.prove("--faults", "1.1")
    assert shown(project)["1.1"]["faults"][0]["state"] == "caught"
    project.write("shop/price.py", "# more\n" + (project.root / "shop/price.py").read_text())
    (fault,) = shown(project)["1.1"]["faults"]
    assert (fault["state"], fault["changed"]) == ("caught, code changed since", ["shop/price.py"])


def test_a_file_of_an_older_schema_is_no_result(project):
    project.write("results/prove.json", json.dumps({"schema": 1, "claims": {"1.1": {"status": "proven"}}}))
    assert {claim["state"] for claim in shown(project).values()} == {"unproven"}


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
