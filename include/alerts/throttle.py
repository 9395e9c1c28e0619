"""Throttles failure notifications: one message per run and cause, and a digest when many arrive at once.

State is on the disk that all of the platform's processes share: a record for each run and cause below DATA_ROOT/failures
(include/alerts/records.py), and the count of the present storm beside them, in a file that is locked for the time of a look.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from include.alerts import records
from include.files import exclusive_lock

FOLDER = "failures"
STORM_SIZE = 5  # messages within STORM_SECONDS that are sent singly
STORM_SECONDS = 60.0  # seconds after the first message; then the count begins anew
LOCK_PATIENCE = 1.0  # seconds that a failing task waits for another one's look
# Seconds. A record that is older and not notified was left by a notifier that crashed: send it again.
RESEND_AFTER = 60.0


@dataclass(frozen=True)
class Verdict:
    """Says what to do about a failure: `send` is "message", "digest" or "nothing"; `unsent` are earlier ones, by DAG."""

    send: str
    why: str = ""
    unsent: tuple[tuple[str, int], ...] = ()


def cause_key(error: str, stage: str, round: str) -> str:
    """Return the cause of a failure as twelve characters: a hash of the error without its numbers, of stage and round.

    Failures of a run with the same cause are one failure.

    :param error: type and text
    :param stage: "retry" or "failed", so that the last word on a task is told even if its first failure was
    :param round: changes when the run is cleared: what fails again after that is told again
    """
    first_line = error.strip().partition("\n")[0]
    return sha256(f"{stage} {round} {re.sub(r'[0-9]+', '#', first_line)}".encode()).hexdigest()[:12]


def record_failure(data_root: Path, failure: dict[str, Any], now: float | None = None) -> tuple[Verdict, Path]:
    """Record a failure and decide whether it is told.

    :param failure: at least dag_id, run_id, stage, round and error
    :returns: the verdict, and the record: call `records.mark_notified` with it once somebody was told
    :raises OSError: the disk is full or away; then tell it
    """
    now = time.time() if now is None else now
    key = cause_key(failure["error"], failure["stage"], failure["round"])
    file = records.record_path(data_root / FOLDER, failure["dag_id"], failure["run_id"], key)
    first = records.write_once(file, failure)
    # Another process may be sending it now. If that one died, send it again after RESEND_AFTER.
    if not first and (records.is_notified(file) or now - file.stat().st_mtime < RESEND_AFTER):
        return Verdict("nothing", "this run and cause were told"), file
    with _locked_storm(data_root / FOLDER / "storm.json") as storm:
        return _count_in_storm(storm, failure["dag_id"], now), file


def final_failure_notified(data_root: Path, dag_id: str, run_id: str, since: str) -> bool:
    """Tell whether somebody was notified that a task of this run has failed for good.

    :param since: when the run began, or began anew: an instant as in the records
    """
    files = records.record_path(data_root / FOLDER, dag_id, run_id, "x").parent.glob("*.json")
    found = (json.loads(file.read_text()) for file in files if records.is_notified(file))
    return any((each["run_id"], each["stage"]) == (run_id, "failed") and each["at"] >= since for each in found)


def _count_in_storm(storm: dict[str, Any], dag_id: str, now: float) -> Verdict:
    untold = Counter(storm.get("untold", {}))
    if not 0 <= now - storm.get("since", 0) < STORM_SECONDS:
        storm |= {"since": now, "count": 0}
    storm["count"] += 1
    if storm["count"] <= STORM_SIZE:
        storm["untold"] = {}  # what the last storm left untold comes with this message
        return Verdict("message", unsent=tuple(untold.most_common()))
    untold[dag_id] += 1
    # A digest at the 6th, 12th, 24th … failure: a hundred failures make ten messages.
    digests, rest = divmod(storm["count"], STORM_SIZE + 1)
    if rest == 0 and digests & (digests - 1) == 0:
        storm["untold"] = {}
        return Verdict("digest", unsent=tuple(untold.most_common()))
    storm["untold"] = dict(untold)
    return Verdict("nothing", "collected for the digest of a storm")


@contextmanager
def _locked_storm(file: Path) -> Iterator[dict[str, Any]]:
    """Give the state of the storm, and write it back at the end. Its lock goes with a process that is killed."""
    refused = BlockingIOError(f"{file} is locked by others")
    with exclusive_lock(file, lambda _: refused, seconds=LOCK_PATIENCE) as stream:
        stream.seek(0)
        try:
            state = json.loads(stream.read())
        except ValueError:  # new, or its writer was killed
            state = {}
        yield state
        stream.seek(0)
        stream.truncate()
        stream.write(json.dumps(state))
