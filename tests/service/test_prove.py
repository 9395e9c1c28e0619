"""The mechanism behind `answers prove`, tried on a tiny project of its own with real pytest processes."""

import json
import os
import signal
import subprocess

import pytest

from include.waiting import patience
from support import wait_for
from support.tiny_project import TEST


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
