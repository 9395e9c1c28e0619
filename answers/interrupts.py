"""Handles Ctrl-C and SIGTERM, alike for every command that must leave nothing behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGINT both raise KeyboardInterrupt, so that both leave nothing behind.

    SIGINT is set as well because a shell starts its background jobs with it ignored.
    """
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def restore_ctrl_c() -> None:
    """Let SIGINT raise KeyboardInterrupt where a shell has started this process in the background, with it ignored."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
