"""Budgets count CPU seconds: a slow or busy machine makes no file wrong. The clock ends only what does not compute at all."""

import subprocess
import sys

import pytest

from dag_integrity.pool import ENDLESS, STALLED, Pool, Worker
from projects import SOURCE, bash, check, dag

pytestmark = pytest.mark.claim("9.3")
TIMEOUT = 10.0
BURN = """
import sys, time
end = time.process_time() + float(sys.argv[1])
while time.process_time() < end:
    pass
print("burnt", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def burnt():
    """Starts a process that uses so many CPU seconds and then waits; gives the worker and the pool that judges it."""
    started = []

    def start(seconds: float) -> tuple[Pool, Worker]:
        process = subprocess.Popen(
            [sys.executable, "-c", BURN, str(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "burnt\n"
        pool = Pool.__new__(Pool)
        pool._timeout = TIMEOUT
        return pool, Worker(1, None, pid=process.pid, begun=1000.0, progress=(1000.0, 0.0, 0.0))

    yield start
    for process in started:
        process.communicate()


def test_a_file_that_computes_slowly_is_not_late(burnt):
    pool, worker = burnt(0.8)
    # For 19 timeouts by the clock the machine gave it 0.8 s of CPU in all, the last of it just now.
    assert pool._overdue(worker, 1000.0 + 19 * TIMEOUT) == ""
    assert worker.progress[0] == 1000.0 + 19 * TIMEOUT


def test_a_file_that_does_not_compute_any_more_is_late(burnt):
    pool, worker = burnt(0.8)
    assert pool._overdue(worker, 1000.0 + TIMEOUT) == ""
    assert pool._overdue(worker, 1000.0 + (1 + 0.9 * STALLED) * TIMEOUT) == ""
    assert "still waiting after 31 s" in pool._overdue(worker, 1001.0 + (1 + STALLED) * TIMEOUT)


def test_a_file_that_waits_for_a_cpu_is_not_late(burnt, monkeypatch):
    pool, worker = burnt(0.8)
    assert pool._overdue(worker, 1000.0 + TIMEOUT) == ""
    monkeypatch.setattr("dag_integrity.pool._seconds_in_queue", lambda pid: worker.progress[2] + STALLED * TIMEOUT)
    assert pool._overdue(worker, 1001.0 + (1 + STALLED) * TIMEOUT) == ""


def test_a_file_that_goes_on_for_ever_in_small_steps_is_late(burnt):
    pool, worker = burnt(0.8)
    assert "still waiting" in pool._overdue(worker, 1000.0 + (ENDLESS + 5) * TIMEOUT)


def test_a_file_is_late_by_its_own_cpu_seconds_and_not_by_those_of_earlier_files(burnt):
    pool, worker = burnt(0.8)
    pool._timeout = 0.5
    assert "after 0.5 s of CPU" in pool._overdue(worker, 1000.6)
    worker.cpu_before = 0.7
    assert pool._overdue(worker, 1000.6) == ""


def test_sleep_that_is_asked_for_counts_and_waiting_does_not(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.dag-integrity]\nparse-budget = 1.5\nimport-budget = 60\n")
    (tmp_path / "sleeps.py").write_text(
        dag(bash(), "sleeps") + "import time\nfor _ in range(2):\n    time.sleep(0.8)\n"
    )
    (tmp_path / "waits.py").write_text(dag(bash(), "waits") + "import threading\nthreading.Event().wait(2)\n")
    in_thread = "import threading, time\nt = threading.Thread(target=time.sleep, args=(2,))\nt.start()\nt.join()\n"
    (tmp_path / "beside.py").write_text(dag(bash(), "beside") + in_thread)
    findings, *_ = check(tmp_path, "--select", "AA102,AA405", code=1)
    assert [(each["file"].rpartition("/")[2], each["rule"]) for each in findings] == [("sleeps.py", "AA405")]
    assert "1.6 s of sleep, budget 1.5 s" in findings[0]["message"]


def test_the_second_file_that_imports_a_module_pays_for_it_as_the_first(tmp_path):
    costly = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end:\n    pass\n"
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "costly.py").write_text(costly)
    (tmp_path / "dags").mkdir()
    for name in ("a", "b"):
        (tmp_path / "dags" / f"{name}.py").write_text("import costly\n" + dag(bash(), name))
    (tmp_path / "pyproject.toml").write_text(
        "[tool.dag-integrity]\nparse-budget = 0.45\nimport-budget = 0.45\njobs = 1\n"
    )
    findings, *_ = check(tmp_path / "dags", "--select", "AA405,AA406", code=1, PYTHONPATH=f"{tmp_path}/lib:{SOURCE}")
    found = sorted((each["file"].rpartition("/")[2], each["rule"]) for each in findings)
    assert found == [("a.py", "AA405"), ("a.py", "AA406"), ("b.py", "AA405"), ("b.py", "AA406")]
