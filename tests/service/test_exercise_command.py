"""The exercise commands on a tiny project: what they print, their JSON, Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from click.testing import Result
from typer.testing import CliRunner

from answers.cli import exercise, exercise_interviewer
from answers.exercise import catalogue, changes, workspace
from include.waiting import patience
from support import PROJECT, tiny_ticket, wait_for
from support.tiny_project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "project").mkdir()
    project = Project(tmp_path / "project")
    tiny_ticket.write_ticket(project)
    return tiny_ticket.tracked(project)


COMMAND = """
import sys, typer
from pathlib import Path
from answers.cli import exercise
exercise.ROOT = Path(sys.argv.pop(1))
exercise.app()
"""


def test_ctrl_c_leaves_nothing_behind(tmp_path):
    (tmp_path / "project").mkdir()
    project = Project(tmp_path / "project")
    slow = "def probe(p):\n    p.inside('others', __import__('time').sleep, 500, seconds=600)\n"
    tiny_ticket.write_ticket(project, probe_py=slow, keeps=[])
    tiny_ticket.tracked(project)
    copy = workspace.start(project.root, catalogue.find(project.root, tiny_ticket.ID), 1, tmp_path / "copy", minutes=15)
    (copy.folder / "shop/price.py").write_text("def total(prices, member=False):\n    return sum(prices)\n")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-c", COMMAND, str(project.root), "check", str(copy.folder)]
    environment = os.environ | {"TMPDIR": str(scratch), "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for("the step's process", lambda: len(psutil.Process(process.pid).children(recursive=True)) == 2)
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=patience(60))
    assert (process.returncode, err.strip()) == (130, "interrupted; nothing was recorded")
    assert not [each for each in below if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert list(scratch.iterdir()) == []
    assert not (copy.folder / ".answers/checks").exists()


def test_the_command_lists_starts_checks_and_says_what_is_asked_wrongly(project, tmp_path):
    def command(*words: object, **more: str) -> subprocess.CompletedProcess:
        environment = os.environ | {"PYTHONPATH": str(PROJECT), "COLUMNS": "200"} | more
        line = [sys.executable, "-c", COMMAND, str(project.root), *map(str, words)]
        return subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    (listed,) = json.loads(command("list", "--json").stdout)
    assert (listed["id"], listed["variants"]) == (tiny_ticket.ID, 2)
    assert "hints" not in listed
    started = json.loads(command("start", tiny_ticket.ID, "--to", "work", "--seed", "7", "--json").stdout)
    assert started["minutes"] == 15
    done = command("check", "work")
    assert done.returncode == 1
    assert "✗ delivered" in done.stdout
    assert "seen: nothing was changed yet" in done.stdout
    assert "your code is run" not in done.stdout
    assert "your code is run" in command("check", "work", FORCE_COLOR="1").stdout  # as on a terminal
    unknown = command("start", "q99-nothing", "--to", "other")
    assert unknown.returncode == 2
    assert f"no ticket q99-nothing; `answers exercise list` shows: {tiny_ticket.ID}" in unknown.stderr
    assert json.loads(command("status", "work", "--json").stdout)["last"]["verdict"] == "does not hold"


def test_every_subcommand_explains_itself_and_speaks_json(project, tmp_path, monkeypatch):
    for module in (exercise, exercise_interviewer):
        monkeypatch.setattr(module, "ROOT", project.root)
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> Result:
        return CliRunner().invoke(exercise_interviewer.app, words, env={"COLUMNS": "200"})

    asked = {
        "list": [],
        "start": [tiny_ticket.ID, "--to", "work"],
        "hint": ["work"],
        "check": ["work"],
        "reset": ["shop/price.py", "--in", "work"],
        "status": ["work"],
        "submit": ["work"],
        "report": ["work"],
        "solution": [tiny_ticket.ID],
        "prove": [tiny_ticket.ID, "--only", "untouched"],
        "new": ["q05-of-mine"],
    }
    for name, words in asked.items():
        help_ = command(name, "--help")
        assert (help_.exit_code, "--json" in help_.stdout) == (0, True), name
        said = json.loads(command(name, *words, "--json").stdout)
        assert said, name
    assert json.loads(command("hint", "work", "--list", "--json").stdout)["used"][0]["hint"] == 1


@pytest.mark.parametrize(
    "words", [["list"], ["prove"], ["new", "q05-of-mine"], ["report"], ["start", tiny_ticket.ID, "--to", "other"]]
)
def test_a_copy_says_where_to_ask_for_what_it_does_not_have(project, tmp_path, monkeypatch, words):
    copy = workspace.start(project.root, catalogue.find(project.root, tiny_ticket.ID), 1, tmp_path / "copy", minutes=15)
    for module in (exercise, exercise_interviewer):
        monkeypatch.setattr(module, "ROOT", copy.folder)
    monkeypatch.chdir(copy.folder)
    done = CliRunner().invoke(exercise_interviewer.app, words)
    assert done.exit_code == 2
    assert re.search("checkout that (made|has)", done.output)
    assert changes.git(copy.folder, "status", "--porcelain") == b""
