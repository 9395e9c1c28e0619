"""Waits: they scale with what the machine is seen to need, and only then."""

import re
import time
from pathlib import Path

import pytest

from include import waiting
from include.waiting import Deadline, WaitTimeout, exact_deadline, patience, wait_until
from support import PROJECT


@pytest.fixture
def measured(monkeypatch):
    """Return how often the machine was measured; each time it seems three times slower than recorded."""
    times = []
    monkeypatch.delenv(waiting.VARIABLE, raising=False)
    monkeypatch.setattr(waiting, "_measured", None)
    monkeypatch.setattr(waiting, "measure_slowness", lambda: times.append(1) or 3.0)
    return times


@pytest.fixture
def clock(monkeypatch):
    """A monotonic clock that only a pause moves."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def test_a_wait_returns_the_first_true_answer_and_measures_nothing_where_it_is_in_time(measured, clock):
    answers = iter([0, "", None, "here"])
    assert wait_until(lambda: next(answers), 10, "it", pause=1) == "here"
    assert clock[0] == 1003
    assert not measured


def test_a_wait_on_a_slow_machine_goes_on_for_as_many_times_longer(measured, clock):
    assert wait_until(lambda: clock[0] > 1025, 10, "it", pause=1) is True
    assert len(measured) == 1
    clock[0] = 1000.0
    with pytest.raises(WaitTimeout, match=r"^waited 30 s in vain for the broker\nits log$"):
        wait_until(lambda: False, 10, "the broker", pause=1, detail=lambda: "its log")
    assert clock[0] == 1030


def test_seconds_that_a_person_asked_for_do_not_scale(measured, clock):
    with pytest.raises(KeyError, match="waited 10 s in vain for it"):
        wait_until(lambda: False, exact_deadline(10), "it", pause=1, error=KeyError)
    assert clock[0] == 1010
    assert not measured


def test_a_long_wait_says_every_ten_seconds_that_it_goes_on(measured, clock):
    told = []
    wait_until(lambda: clock[0] >= 1035, 60, "Airflow", pause=1, say=told.append)
    assert told == [f"waiting for Airflow ({seconds} s)" for seconds in (11, 22, 33)]


def test_an_error_of_the_condition_ends_the_wait(measured):
    def broken():
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        wait_until(broken, 60, "it")


def test_a_deadline_without_seconds_has_passed(measured):
    assert Deadline(0).passed()
    assert not measured


def test_the_variable_overrides_what_is_measured(measured, clock, monkeypatch):
    monkeypatch.setenv(waiting.VARIABLE, "2.5")
    assert patience(10) == 25
    deadline = Deadline(10)
    clock[0] += 24
    assert not deadline.passed()
    clock[0] += 1
    assert deadline.passed()
    assert not measured
    for wrong in ("fast", "0", "-1", "inf", "nan"):
        monkeypatch.setenv(waiting.VARIABLE, wrong)
        with pytest.raises(ValueError, match=f"ANSWERS_PATIENCE='{wrong}': give a factor"):
            patience(1)


def test_a_measurement_stands_for_a_while(measured, clock):
    assert (patience(1), patience(2), len(measured)) == (3, 6, 1)
    clock[0] += waiting.MEASUREMENT_SECONDS + 1
    assert (patience(1), len(measured)) == (3, 2)


def test_the_work_that_is_measured_takes_cpu_time_of_both_threads():
    before = time.process_time()
    assert 1 <= waiting.measure_slowness() <= waiting.LARGEST_SLOWNESS
    assert time.process_time() > before


HAND_WRITTEN = re.compile(r"time\.monotonic\(\) [+<>]|stop_after_delay\(")
# A budget is a promise of its own, which a slow machine does not prolong: of a failing task; of a message within the time in
# which its consumer has to ask for the next one.
BUDGETS = {"plugins/notifiers/failure.py", "answers/operate/relay.py"}


def test_there_is_no_other_place_where_a_wait_is_timed():
    found = {
        str(file.relative_to(PROJECT))
        for folder in ("answers", "include", "plugins", "bench", "tests")
        for file in (PROJECT / folder).rglob("*.py")
        if HAND_WRITTEN.search(file.read_text())
    }
    assert found - {str(Path(__file__).relative_to(PROJECT))} == BUDGETS
