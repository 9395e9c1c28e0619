"""Ends what a crash left behind, and starts `answers` as people do."""

import os
import subprocess
import sys

import psutil
import pytest

from answers.stack import processes
from answers.stack.settings import Settings
from support import PROJECT, wait_for
from support.command import answers


def test_what_a_crash_left_behind_is_found_and_ended(home):
    """A process with the stack's mark, and its child, which has none; and one of another stack, which stays."""
    environment = os.environ | {"ANSWERS_STACK": str(home)}
    code = (
        "import subprocess, sys; subprocess.Popen(['sleep', '613'], env={}); print('up', flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    mine = subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes)
    other = subprocess.Popen([sys.executable, "-c", code], env=environment | {"ANSWERS_STACK": "/elsewhere"}, **pipes)
    try:
        assert mine.stdout.readline() == other.stdout.readline() == "up\n"
        found = processes.stack_processes(Settings.load())
        assert {each.pid for each in found} == {mine.pid, *(each.pid for each in psutil.Process(mine.pid).children())}
        assert len(found) == 2
        assert {each.pid for each in processes.lost_processes(Settings.load())} == {each.pid for each in found}
        assert "stopped" in answers("down")
        wait_for("the end of both", lambda: not any(each.is_running() and each.status() != "zombie" for each in found))
        assert other.poll() is None
    finally:
        processes.end_processes([process for each in (mine, other) for process in _with_children(each.pid)], patience=5)
        for each in (mine, other):
            each.communicate()


def _with_children(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return []


def test_a_process_that_does_not_want_to_end_is_killed():
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    stubborn = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert stubborn.stdout.readline() == "up\n"
    processes.end_processes([psutil.Process(stubborn.pid)], patience=0.3)
    assert not psutil.pid_exists(stubborn.pid), "it ignores SIGTERM"
    stubborn.communicate()


def test_without_docker_no_worker_is_replaced_and_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "answers roll: docker is not installed" in answers("roll", "--image", "new", code=1)


@pytest.mark.parametrize("command", ["", "fleet", "kafka", "secrets", "integrity", "prove", "new", "sla", "rollback"])
def test_every_command_helps(command):
    done = subprocess.run(
        [sys.executable, "-m", "answers", *command.split(), "--help"], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout
