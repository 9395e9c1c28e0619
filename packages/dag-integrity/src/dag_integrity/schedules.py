"""Tells at which dates a DAG has runs, and whether a sensor's date is ever among those of another DAG."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Cron = list[Any]  # expression, time zone, seconds from a tick to the logical date of its run
START = datetime(2026, 1, 1, tzinfo=UTC)
MOST = 1500  # dates that are compared; beyond them a pattern of minutes, days and months has repeated
HORIZON = timedelta(days=366 * 30)


def dates(dag: Any) -> list[Cron] | None:
    """Return the schedules that give a DAG's runs their logical dates: [] when none has one, None when that is not known here."""
    return _crons(dag.timetable)


def _crons(timetable: Any) -> list[Cron] | None:
    name = type(timetable).__name__
    if name == "AssetTriggeredTimetable":
        return []
    if name == "AssetOrTimeSchedule":
        return _crons(timetable.timetable)
    if name == "MultipleCronTriggerTimetable":
        parts = [_crons(each) for each in timetable_part(timetable, "timetables")]
        return None if None in parts else [cron for part in parts for cron in part or ()]
    if name not in ("CronTriggerTimetable", "CronDataIntervalTimetable"):
        return None
    expression = timetable_part(timetable, "expression")
    interval = timetable_part(timetable, "interval") or timedelta()
    if not isinstance(expression, str) or not isinstance(interval, timedelta):
        return None
    zone = timetable_part(timetable, "timezone")
    return [[_preset(expression), str(getattr(zone, "name", zone)), -interval.total_seconds()]]


def timetable_part(timetable: Any, name: str) -> Any:
    """Return an attribute of a timetable, which Airflow 3.0 has under a private name."""
    return getattr(timetable, name, None) or getattr(timetable, f"_{name}", None)


def _preset(expression: str) -> str:
    presets = {
        "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *",
        "@quarterly": "0 0 1 */3 *", "@yearly": "0 0 1 1 *",
    }  # fmt: skip
    return presets.get(expression, expression)


def undated(dag: Any) -> str:
    """Return what kind of run has no logical date here; empty when each that the schedule makes has one."""
    condition = getattr(dag.timetable, "asset_condition", None)
    return "a run that an asset started" if condition else ""  # Airflow 3.0 and 3.1 have an empty one


def never_meet(down: list[Cron], delta: float, up: list[Cron]) -> bool:
    """Tell whether no run of a sensor's DAG looks for a date that the awaited DAG has.

    :param down: the schedules of the sensor's DAG
    :param delta: seconds that the awaited date lies before the sensor's own
    :param up: the schedules of the awaited DAG
    """
    try:
        return not any(_meet(one, delta, other) for one in down for other in up)
    except (ValueError, KeyError, AttributeError, ZoneInfoNotFoundError):
        return False  # croniter does not understand what Airflow does: not known


def _meet(down: Cron, delta: float, up: Cron) -> bool:
    shift = timedelta(seconds=down[2] - delta - up[2])  # from a tick of `down` to the tick of `up` that is looked for
    if _gap(down) >= _gap(up):
        return any(_is_tick(up, tick + shift) for tick in _ticks(down))
    return any(_is_tick(down, tick - shift) for tick in _ticks(up))


def _gap(cron: Cron) -> timedelta:
    ticks = list(islice(_ticks(cron), 20))
    return (ticks[-1] - ticks[0]) / len(ticks) if ticks else HORIZON


def _ticks(cron: Cron) -> Iterator[datetime]:
    from croniter import croniter

    ticks = croniter(cron[0], START.astimezone(ZoneInfo(cron[1])), ret_type=datetime)
    every = (tick.astimezone(UTC) for tick in ticks.all_next(datetime))
    return takewhile(lambda tick: tick < START + HORIZON, islice(every, MOST))


def _is_tick(cron: Cron, date: datetime) -> bool:
    from croniter import croniter

    local = date.astimezone(ZoneInfo(cron[1]))
    return (len(cron[0].split()) > 5 or not local.second) and croniter.match(cron[0], local)


def period(timetable: Any) -> timedelta | None:
    """Return about how much time lies between two runs, or None when the schedule does not say."""
    delta = timetable_part(timetable, "delta")
    if isinstance(delta, timedelta):
        return delta
    if not isinstance(expression := timetable_part(timetable, "expression"), str):
        return None
    from croniter import croniter

    try:
        ticks = croniter(expression, datetime(2026, 1, 1))
        one = ticks.get_next(datetime)
        ten = [ticks.get_next(datetime) for _ in range(10)][-1]
    except (ValueError, KeyError):
        return None
    return (ten - one) / 10
