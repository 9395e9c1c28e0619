"""Ctrl-C of the demonstration in each of its phases: it ends in good order, and nothing of its stack is left."""

import os
import signal
import subprocess

import pytest

from answers.stack import bundles
from include.waiting import patience
from support import PROJECT, wait_for

# What is said when a phase has begun, in the order in which the demonstration of these questions comes to it.
PHASES = {
    "start": "starting PostgreSQL and Airflow",
    "question": "Question 9 ·",
    "restart": "stopping the stack",
    "restarted": "starting PostgreSQL and Airflow",
    "deploy": "checking demo-",
    "canary": "running q10_canary",
    "rollback": "checking ",
}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.long("Ctrl-C while a stack starts, in tests/service/test_parts.py")
@pytest.mark.timeout(900)
def test_ctrl_c_of_the_demonstration_leaves_nothing_behind(new_stack, tmp_path, phase):
    """As a terminal does it: the signal reaches every process of the foreground, a deploy in the middle of its work as well."""
    stack, seen = new_stack(), tmp_path / "out"
    with seen.open("wb") as sink:
        demo = subprocess.Popen(
            stack.command("demo", "q09", "q10"),
            env=stack.environment | {"PYTHONUNBUFFERED": "1"},
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        try:
            awaited = list(PHASES.values())[: list(PHASES).index(phase) + 1]
            wait_for(
                f"the phase {phase}",
                lambda: _come_in_order(seen.read_text(), awaited) or demo.poll() is not None,
                600,
                seen=seen.read_text,
            )
            assert demo.poll() is None, seen.read_text()
            os.killpg(demo.pid, signal.SIGINT)
            code = demo.wait(patience(180))
        finally:
            if demo.poll() is None:
                demo.kill()
    assert code == 130, seen.read_text()
    assert "Traceback" not in seen.read_text()
    assert stack.processes() == []
    assert not (stack.home / "supervisord.pid").exists()
    assert bundles.dags_source(stack.home) == "local"


def _come_in_order(text: str, lines: list[str]) -> bool:
    place = 0
    for line in lines:
        place = text.find(line, place)
        if place < 0:
            return False
        place += len(line)
    return True
