"""`make slow`: a throttle that passes on what it gets and leaves nothing behind."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from support import PROJECT, slow, wait_for

SCRIPT = [sys.executable, "-I", str(PROJECT / "tests/support/slow.py")]
# Says where it is, and ends in good order when it is interrupted.
PATIENT = """
import os, signal, sys, time
open(sys.argv[1], "w").write(f"{os.getpid()}")
try:
    while True:
        time.sleep(60)
except KeyboardInterrupt:
    open(sys.argv[1] + ".cleaned", "w").close()
    sys.exit(130)
"""


def cgroups() -> set[Path]:
    return {path for parent in (slow.MOUNT, slow.MOUNT / "cpu") for path in parent.glob("answers-slow-*")}


def in_a_cgroup() -> bool:
    try:
        limit = slow.Cgroup(slow.MOUNT, 1)
    except slow.NoCgroupError:
        return False
    limit.close()
    return True


@pytest.mark.parametrize(("command", "code"), [(["true"], 0), (["sh", "-c", "exit 7"], 7), (["nothing-like-it"], 127)])
def test_the_exit_code_is_the_commands_and_nothing_is_left(command, code):
    before = cgroups()
    done = subprocess.run([*SCRIPT, *command], capture_output=True, text=True)
    assert done.returncode == code
    assert "slow: one third of" in done.stderr
    assert f"slow: exit code {code} after" in done.stderr
    assert cgroups() <= before


def test_a_make_target_runs_throttled():
    done = subprocess.run(["make", "slow", "TARGET=help"], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "make slow" in done.stdout
    assert "slow: exit code 0" in done.stderr


def test_what_a_cgroup_allows_is_a_third_of_the_cores_also_for_a_grandchild_in_a_session_of_its_own():
    if not in_a_cgroup():
        pytest.skip("no cgroup can be made here: see the shared core below")
    code = "import subprocess; subprocess.run(['setsid', 'cat', '/proc/self/cgroup'], check=True)"
    done = subprocess.run([*SCRIPT, sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "answers-slow-" in done.stdout
    limit = slow.Cgroup(slow.MOUNT, len(os.sched_getaffinity(0)) / 3)
    try:
        if limit.version == 2:
            quota, period = (limit.path / "cpu.max").read_text().split()
        else:
            quota, period = ((limit.path / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        assert int(quota) / int(period) == pytest.approx(len(os.sched_getaffinity(0)) / 3, abs=0.001)
    finally:
        limit.close()


def test_without_a_cgroup_one_core_is_shared_with_busy_loops(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(slow, "MOUNT", tmp_path)
    limit = slow.throttle()
    assert isinstance(limit, slow.SharedCore)
    try:
        code = "import os; print(os.sched_getaffinity(0))"
        assert slow.run([sys.executable, "-c", code], limit.enter) == 0
        assert capfd.readouterr().out == f"{{{limit.core}}}\n"
        assert all(psutil.Process(loop.pid).cpu_affinity() == [limit.core] for loop in limit.loops)
    finally:
        limit.close()
    assert all(loop.returncode == -signal.SIGKILL for loop in limit.loops)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_command_which_ends_in_good_order(tmp_path, number):
    before, sign = cgroups(), tmp_path / "sign"
    process = subprocess.Popen([*SCRIPT, sys.executable, "-c", PATIENT, str(sign)])
    wait_for("the command to run", lambda: sign.exists() and sign.read_text())
    process.send_signal(number)
    wait_for("the command to end", lambda: process.poll() is not None)
    assert process.returncode == (130 if number == signal.SIGINT else 128 + signal.SIGTERM)
    assert Path(f"{sign}.cleaned").exists() == (number == signal.SIGINT)
    assert not psutil.pid_exists(int(sign.read_text()))
    assert cgroups() <= before


def test_ctrl_c_of_a_terminal_reaches_the_command_once(tmp_path):
    sign = tmp_path / "sign"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*SCRIPT, sys.executable, "-c", PATIENT, str(sign)])
    try:
        wait_for("the command to run", lambda: sign.exists() and sign.read_text())
        os.write(terminal, b"\x03")
        _, status = wait_for("the end", lambda: (ended := os.waitpid(pid, os.WNOHANG))[0] and ended)
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 130
    assert Path(f"{sign}.cleaned").exists()
