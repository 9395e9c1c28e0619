"""This project as an interviewer hands it out: with a fault, and with nothing that tells which. No copy has this file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from answers.exercise import catalogue
from answers.proof import copies, faults
from answers.proof.catalog import ROOT, load_faults

# The tests of its claim take seconds, and the file is in a package of its own, which the borrowed environment has to find too.
FAULT = next(fault for fault in load_faults() if fault.id == "4.2-assets-start-nothing")
ANOTHER_REPAIR = "return type(start) is list"


@pytest.mark.claim("9.6")
def test_a_copy_tells_no_fault(tmp_path):
    copies.hand_out(ROOT, tmp_path / "copy", "Find out why.", lambda copy: None, {}, lend=False)
    texts = {}
    for path in (path for path in (tmp_path / "copy").rglob("*") if path.is_file()):
        texts[path.relative_to(tmp_path / "copy").as_posix()] = path.read_bytes().decode(errors="replace")
    assert len(texts) > 300, "this is not the whole project"
    told = [
        f"{name} tells {what!r} of {fault.id}"
        for fault in load_faults()
        for name, text in texts.items()
        for what in (fault.id, fault.title, *([fault.find] if name != fault.file else []))
        if what in text
    ]
    assert told == [], (
        "a fault's `find` needs more of the lines around it, or its name is outside of a section called Exercises"
    )


@pytest.mark.claim("9.6")
def test_a_copy_tells_nothing_of_a_tickets_checks_and_wrong_answers(tmp_path):
    copies.hand_out(ROOT, tmp_path / "copy", "Change it.", lambda copy: None, {}, lend=False)
    secrets = {
        text: ticket.id
        for ticket in catalogue.load_all(ROOT)
        for text in (
            *(check.holds for check in ticket.exercise.checks),
            *ticket.exercise.hints,
            *(text for wrong in ticket.wrong for text in (wrong.title, wrong.why)),
            *(wrong.id for wrong in ticket.wrong if wrong.id.count("-") > 1),
        )
    }
    assert len(secrets) > 200
    told = [
        f"{path.relative_to(tmp_path / 'copy')} tells {text!r} of {id_}"
        for path in (tmp_path / "copy").rglob("*")
        if path.is_file()
        for content in [path.read_bytes().decode(errors="replace").replace("&#160;", " ")]
        for text, id_ in secrets.items()
        if text in content
    ]
    assert told == []


@pytest.fixture(scope="module")
def exercise(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("interview") / "exercise"
    done = answers(ROOT, Path(sys.executable), "-m", "answers", "prove", "--apply", FAULT.id, "--to", folder)
    assert done.returncode == 0, done.stderr
    assert FAULT.symptom in done.stdout
    return folder


def answers(folder: Path, *command: object) -> subprocess.CompletedProcess:
    """Run a command as somebody does who has just opened a terminal there."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    environment["COLUMNS"] = "200"
    if folder == ROOT:
        environment["PYTHONPATH"] = str(
            ROOT
        )  # `answers prove --faults` tries this test on a copy without an environment
    return subprocess.run([*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.claim("9.6")
def test_a_repair_is_seen_whatever_it_looks_like_and_the_copy_alone_is_judged(exercise):
    file = exercise / FAULT.file
    command = exercise / ".venv" / "bin" / "answers"
    prove = (command, "prove", FAULT.claim)

    failing = answers(exercise / "dags", *prove)
    assert failing.returncode == 1, failing.stdout
    assert "failed" in failing.stdout
    assert f"about {exercise} at " in failing.stdout

    original = (ROOT / FAULT.file).read_text()
    file.write_text(original.replace(FAULT.find, ANOTHER_REPAIR))
    assert ANOTHER_REPAIR in answers(exercise, "git", "diff").stdout
    repaired = answers(exercise, *prove)
    assert repaired.returncode == 0, repaired.stderr
    assert "proven" in repaired.stdout

    file.write_text(original)
    since = answers(exercise, *prove, "--show")
    assert since.returncode == 1
    assert "proven, code changed since" in since.stdout
    assert answers(exercise, *prove).returncode == 0


@pytest.mark.claim("9.6")
@pytest.mark.parametrize("folder", [".", "dags"])
def test_the_interviewers_own_command_refuses_in_the_copy(exercise, folder):
    mine = answers(exercise / folder, Path(sys.executable).with_name("answers"), "prove", FAULT.claim)
    assert mine.returncode == 2
    assert f"you are in another checkout of the project, {exercise}: run {exercise}/.venv/bin/answers" in mine.stderr


TEST_OF_THE_COPY = """
from pathlib import Path
import answers, dag_integrity, include, plugins

def test_all_code_is_that_of_this_folder():
    for module in (answers, dag_integrity, include, plugins):
        assert Path.cwd() in Path(module.__path__[0]).parents
"""


def test_make_means_the_copy_and_installs_nothing(exercise):
    (exercise / "tests/unit/test_here.py").write_text(TEST_OF_THE_COPY)
    done = answers(exercise, "make", "test", "ARGS=tests/unit/test_here.py -n 0 -q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "setup:" not in done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_checkout_that_made_a_copy_can_tell_which_fault_is_in_it(exercise):
    note = json.loads((exercise / ".answers/exercise.json").read_text())
    assert [fault.id for fault in load_faults() if faults.fault_token(fault.id, note["salt"]) == note["fault"]] == [
        FAULT.id
    ]
