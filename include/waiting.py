"""Waits for conditions, and scales every timeout of this project with the speed of the machine.

Seconds in the code are those of the machine that the recorded figures were taken on (2 cores). Another machine, or this
one while it is busy or throttled, gets as many times longer as a short piece of work takes there. Nothing is measured
before a wait has used up its seconds, so that waiting costs nothing where the machine is as fast.

- `wait_until(ready, seconds, what)` returns the first true answer of `ready`.
- `poll(seconds)` is for loops that do something at each look: `for _ in poll(seconds): ...`.
- `Deadline(seconds)` is for any other loop: `while not deadline.passed(): ...`.
- `patience(seconds)` is for a timeout that has to be given as a number, e.g. of `subprocess.run`. It measures at once.
- `exact_deadline(seconds)` is a deadline that a person asked for in seconds: it does not scale.

`ANSWERS_PATIENCE` overrides what is measured: 1 is the recorded machine, 3 waits three times as long.
Time is the monotonic clock's: a wall clock that jumps neither ends a wait nor prolongs it.
"""

from __future__ import annotations

import os
import random
import time
import zlib
from collections.abc import Callable, Iterator
from threading import Lock, Thread
from typing import TypeVar

T = TypeVar("T")
VARIABLE = "ANSWERS_PATIENCE"
CORES = 2  # of the machine that the recorded figures were taken on
BLOCK, ROUNDS = 1 << 20, 6  # bytes, times: the work of one core
RECORDED = 0.15  # seconds that both cores took for it together
LARGEST_SLOWNESS = 30.0  # a machine that seems slower than this is broken, and nobody waits that long
MEASUREMENT_SECONDS = 60.0  # seconds for which a measurement stands
SAY_EVERY = 10.0  # seconds
_measured: tuple[float, float] | None = None  # when, and what
_measuring = Lock()


class WaitTimeout(TimeoutError):
    """A condition did not come true. The text says which, and after how long."""


def measure_slowness() -> float:
    """Do a short piece of work on two cores, and return how many times longer than recorded it took: 1 or more.

    Wall-clock time on purpose: throttling, busy neighbours and a lack of cores are what is to be seen. The work lasts
    longer than the 100 ms in which a cgroup shares out its CPU time.
    """
    block = random.Random(2013).randbytes(BLOCK)  # noqa: S311  # the same work everywhere

    def work() -> None:
        for _ in range(ROUNDS):
            zlib.compress(block, 1)  # lets the other thread run

    threads = [Thread(target=work) for _ in range(CORES)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return min(max(1.0, (time.perf_counter() - began) / RECORDED), LARGEST_SLOWNESS)


def slowness() -> float:
    """Return how many times longer this machine needs, at present, than the recorded one: 1 or more.

    :raises ValueError: `ANSWERS_PATIENCE` is no positive number
    """
    global _measured
    if text := os.environ.get(VARIABLE):
        return _factor_of(text)
    with _measuring:
        if _measured is None or time.monotonic() - _measured[0] > MEASUREMENT_SECONDS:
            _measured = time.monotonic(), measure_slowness()
        return _measured[1]


def _factor_of(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise ValueError(
            f"{VARIABLE}={text!r}: give a factor, such as 1 (the recorded machine) or 3 (three times as long)"
        )
    return factor


def patience(seconds: float) -> float:
    """Scale seconds of the recorded machine to this one."""
    return seconds * slowness()


class Deadline:
    """The end of a wait: `seconds` of the recorded machine from now on.

    :param seconds: on the recorded machine
    :param scales: False: seconds are meant as they are
    """

    def __init__(self, seconds: float, *, scales: bool = True) -> None:
        self._seconds, self._scales, self._factor = seconds, scales, 1.0
        self._began = time.monotonic()

    @classmethod
    def of(cls, seconds: float | Deadline) -> Deadline:
        """Return the deadline that is given, or a new one of so many seconds."""
        return seconds if isinstance(seconds, Deadline) else cls(seconds)

    @property
    def seconds(self) -> float:
        """Return the seconds that are granted so far."""
        return self._seconds * self._factor

    @property
    def elapsed(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._began

    def passed(self) -> bool:
        """Tell whether the time is up. Measures the machine before it says so, and grants what it needs."""
        if self.elapsed < self.seconds:
            return False
        if self._scales and self._seconds:
            self._factor = max(self._factor, slowness())
        return self.elapsed >= self.seconds


def exact_deadline(seconds: float) -> Deadline:
    """Return a deadline that somebody asked for in seconds: it does not scale."""
    return Deadline(seconds, scales=False)


def poll(seconds: float | Deadline, pause: float = 0.5) -> Iterator[Deadline]:
    """Yield the deadline once at least, and then after each pause until the time is up."""
    deadline = Deadline.of(seconds)
    yield deadline
    while not deadline.passed():
        time.sleep(pause)
        yield deadline


def wait_until(
    ready: Callable[[], T | None],
    seconds: float | Deadline,
    what: str,
    *,
    pause: float = 0.2,
    say: Callable[[str], None] | None = None,
    detail: Callable[[], object] = str,
    error: Callable[[str], Exception] = WaitTimeout,
) -> T:
    """Return the first true answer of `ready`.

    :param seconds: to wait, on the recorded machine
    :param what: is waited for, for the message
    :param pause: seconds between two looks
    :param say: is told every ten seconds that the wait goes on
    :param detail: is asked, once the wait was in vain, for more to say
    :param error: makes the exception of a message
    :raises WaitTimeout: it does not come true in time (or what `error` makes)
    """
    deadline, told = Deadline.of(seconds), 0.0
    for _ in poll(deadline, pause):
        if answer := ready():
            return answer
        if say and deadline.elapsed - told > SAY_EVERY:
            told = deadline.elapsed
            say(f"waiting for {what} ({told:.0f} s)")
    raise error(f"waited {deadline.seconds:.0f} s in vain for {what}\n{detail()}".rstrip())
