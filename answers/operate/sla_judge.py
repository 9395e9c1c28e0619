"""Judges SLA compliance: the share of scheduled runs that was on time, by DAG and ISO week, with the counts behind it.

Definitions, for each interval that a DAG's timetable schedules:

- Its *deadline* is the one that Airflow recorded as missed, if it did; otherwise the moment at which its first run was due
  to begin (what `plugins.deadlines.RunDue` says) plus the DAG's deadline interval; without any run, the interval's end plus
  that. A second run of the same interval, asked for later, gets no deadline of its own.
- *on time*: one of its runs finished successfully at or before the deadline.
- *late*: it finished successfully afterwards, or still runs although the deadline has passed.
- *failed*: no run succeeded or runs. Failing before the deadline counts at once; a rerun in time makes it on time.
- *missing*: the deadline has passed and there is no run.
- *pending*: the deadline is still ahead. Not counted.

Compliance = on time / (on time + late + failed + missing). Airflow's history keeps the *last* end of a run: clearing one that
was on time, and finishing it again after its deadline, makes it late.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from include.flights.days import ZONE

ON_TIME, LATE, FAILED, MISSING, PENDING = "on time", "late", "failed", "missing", "pending"
COUNTED = (ON_TIME, LATE, FAILED, MISSING)
ALL = "all DAGs"


@dataclass(frozen=True)
class Slot:
    """One scheduled data interval of a DAG; the instants have a zone."""

    dag_id: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Run:
    """One run of history. `due`: when it could begin; `missed`: the deadline that Airflow recorded as missed."""

    dag_id: str
    run_id: str
    start: datetime
    due: datetime
    state: str
    ended: datetime | None = None
    missed: datetime | None = None


@dataclass(frozen=True)
class Judged:
    """Holds the verdict on one slot; `run_id` is that of the run that decided, empty without one."""

    slot: Slot
    verdict: str
    deadline: datetime
    run_id: str = ""
    ended: datetime | None = None

    @property
    def week(self) -> date:
        """Return the Monday of the ISO week of the interval's first local day."""
        day = self.slot.start.astimezone(ZONE).date()
        return day - timedelta(days=day.weekday())


@dataclass(frozen=True)
class Row:
    """Counts of a DAG (or of all) in a week (or in all weeks: None)."""

    dag_id: str
    week: date | None
    on_time: int
    late: int
    failed: int
    missing: int

    @property
    def scheduled(self) -> int:
        """Return the number of intervals that count."""
        return self.on_time + self.late + self.failed + self.missing

    @property
    def compliance(self) -> float | None:
        """Share on time, 0 to 1; None where nothing was scheduled."""
        return self.on_time / self.scheduled if self.scheduled else None


def judge(slots: Iterable[Slot], runs: Iterable[Run], within: dict[str, timedelta], now: datetime) -> list[Judged]:
    """Judge every slot by its runs.

    :param within: DAG -> time from when a run is due to begin until its deadline
    :param now: what is after it has not happened
    """
    by_slot: dict[tuple[str, datetime], list[Run]] = defaultdict(list)
    for run in runs:
        by_slot[run.dag_id, run.start].append(run)
    return [_judge(slot, by_slot[slot.dag_id, slot.start], within[slot.dag_id], now) for slot in slots]


def _judge(slot: Slot, runs: list[Run], within: timedelta, now: datetime) -> Judged:
    recorded = [run.missed for run in runs if run.missed]
    due = min([run.due for run in runs], default=slot.end).astimezone(UTC)  # hours on a clock, not on the wall
    deadline = min(recorded) if recorded else due + within
    done = sorted((run for run in runs if run.state == "success" and run.ended), key=lambda run: run.ended or now)
    if done:
        first = done[0]
        in_time = first.ended is not None and first.ended <= deadline
        return Judged(slot, ON_TIME if in_time else LATE, deadline, first.run_id, first.ended)
    if going := [run for run in runs if run.state in ("queued", "running")]:
        return Judged(slot, PENDING if now <= deadline else LATE, deadline, going[0].run_id)
    if runs:
        return Judged(slot, FAILED, deadline, runs[-1].run_id, runs[-1].ended)
    return Judged(slot, PENDING if now <= deadline else MISSING, deadline)


def compliance(judged: Iterable[Judged]) -> list[Row]:
    """Compute a row per DAG and week, then one per DAG, then one of all DAGs if there is more than one."""
    counts: dict[tuple[str, date | None], Counter[str]] = defaultdict(Counter)
    for each in judged:
        if each.verdict in COUNTED:
            for key in ((each.slot.dag_id, each.week), (each.slot.dag_id, None), (ALL, None)):
                counts[key][each.verdict] += 1
    dags = {dag_id for dag_id, _ in counts} - {ALL}
    keys = sorted(counts, key=lambda key: (key[1] is None, key[0] == ALL, key[0], key[1] or date.max))
    return [
        Row(dag_id, week, *(counts[dag_id, week][verdict] for verdict in COUNTED))
        for dag_id, week in keys
        if dag_id != ALL or len(dags) > 1
    ]
