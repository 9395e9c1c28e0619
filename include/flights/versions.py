"""Keeps versions of a published day, so that the last good one can be put back, and that be undone.

Each publication of a day of layout DAYS is a version, numbered from 1; the live one and the KEPT before it are there. A version
is the day's partition of each table in `warehouse_history`, in slot `version % SLOTS`: made by REPLACE PARTITION, which links the
parts' files, so it costs a few milliseconds and takes disk only once the live partition has changed. `warehouse_history.events`
says what happened, in order. Publishing what is live already makes no version. Slices (carriers, chunks) have no versions: one is
recomputed from the feed within a second.

No transaction spans tables: each table changes in one step, the day within milliseconds. What was killed in between is seen,
as what is live is not what the last event says, and is completed by doing it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from include.errors import PermanentError
from include.flights.warehouse import DAYS, FINGERPRINT, create_tables, replace_partition

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

KEPT = 3  # versions before the newest one
SLOTS = KEPT + 2  # and one that is being written: a publication that dies has cost no version
DATABASE = "warehouse_history"
LIVE = {table: f"warehouse.{table}" for table in DAYS.tables}
EVENTS = f"""CREATE TABLE IF NOT EXISTS {DATABASE}.events
(
    flight_date Date,
    seq         UInt32                 COMMENT 'order of the events of a day',
    at          DateTime64(6, 'UTC')   DEFAULT now64(6),
    action      LowCardinality(String) COMMENT 'found, publish, rollback, undo',
    version     UInt32                 COMMENT 'live since then',
    before      UInt32                 COMMENT 'live until then; 0: none',
    by          String                 COMMENT 'the run or the person',
    prints      Map(String, String)    COMMENT 'table -> rows:hash of the version'
)
ENGINE = MergeTree
ORDER BY (flight_date, seq)"""
COLUMNS = ("flight_date", "seq", "action", "version", "before", "by", "prints")


class NothingToRestore(PermanentError, LookupError):
    """There is no version to go to; nothing was changed."""


@dataclass(frozen=True)
class Event:
    """Something that made a version of a day live."""

    day: date
    seq: int
    action: str
    version: int
    before: int
    by: str
    prints: Mapping[str, str]


@dataclass(frozen=True)
class History:
    """The events of a day, oldest first, and what follows from them."""

    day: date
    events: list[Event] = field(default_factory=list)

    @property
    def current(self) -> Event | None:
        """Return the event that made the live version live."""
        return self.events[-1] if self.events else None

    @property
    def restorable(self) -> dict[int, Event]:
        """Return the versions that can be restored: number -> an event that carries their prints."""
        newest = max((event.version for event in self.events), default=0)
        return {event.version: event for event in self.events if event.version > newest - KEPT - 1}

    @property
    def rollbacks(self) -> list[Event]:
        """Return the stack of rollbacks that `undo_rollback` can take back, the newest one last. A publication clears it."""
        stack: list[Event] = []
        for event in self.events:
            if event.action == "rollback":
                stack.append(event)
            elif event.action == "undo":
                stack.pop()
            else:
                stack.clear()
        return stack

    @property
    def rolled_back(self) -> set[int]:
        """Return the versions that were rolled back, and not taken back."""
        found: set[int] = set()
        for event in self.events:
            if event.action == "rollback":
                found.add(event.before)
            elif event.action == "undo":
                found.discard(event.version)
        return found

    def last_good(self) -> int | None:
        """Find the newest version that can be restored, other than the live one and those that were rolled back."""
        live = self.current.version if self.current else 0
        return max(
            (number for number in self.restorable if number < live and number not in self.rolled_back),
            default=None,
        )


def history(client: Client, day: date) -> History:
    """Return what happened to a day; empty where nothing was ever published."""
    return _history(client, day) if _tables_exist(client) else History(day)


def _history(client: Client, day: date) -> History:
    sql = f"SELECT {', '.join(COLUMNS)} FROM {DATABASE}.events WHERE flight_date = {{day:Date}} ORDER BY seq, at"
    return History(day, [Event(*row) for row in client.query(sql, parameters={"day": day}).result_rows])


def keep_version(
    client: Client, staged: Mapping[str, str], days: Iterable[date], by: str
) -> tuple[list[Event], dict[str, int]]:
    """Keep what is about to be published as new versions; call `record_events` with their events once it is live.

    :param staged: table -> where its new contents are; a table that is not named stays as it is
    :returns: an event for each day whose contents are new, and the version that each day will be at
    """
    _create_tables(client)
    sources = LIVE | dict(staged)
    prints = _prints(client, sources)
    live: dict[str, dict[date, str]] = {}
    new, numbers = [], {}
    for day in days:
        past = _history(client, day)
        if not past.events:  # published before there were versions?
            live = live or _prints(client, LIVE)
            found = _prints_of_day(live, day)
            if any(print_ != EMPTY_PRINT for print_ in found.values()):
                event = Event(day, 1, "found", 1, 0, by, found)
                _copy_all(client, day, LIVE, _slots(1))
                record_events(client, [event])
                past = History(day, [event])
        wanted, current = _prints_of_day(prints, day), past.current
        if current and current.prints == wanted:
            numbers[str(day)] = current.version
            continue  # the same contents: no version
        version = 1 + max((event.version for event in past.events), default=0)
        _copy_all(client, day, sources, _slots(version))
        before = current.version if current else 0
        numbers[str(day)] = version
        new.append(Event(day, _next_seq(past), "publish", version, before, by, wanted))
    return new, numbers


def record_events(client: Client, events: list[Event]) -> None:
    """Note that these versions are live."""
    if rows := [astuple(event) for event in events]:
        client.insert(f"{DATABASE}.events", rows, column_names=COLUMNS)


def rollback_day(client: Client, day: date, by: str, to: int | None = None, bad: int | None = None) -> dict[str, Any]:
    """Put the last good version of a day back, all of its tables.

    Where what is live is not what was last published or restored (it was damaged, or somebody was killed half-way), and nobody
    says that this is bad, it is put back. Doing it again with the same `by`, however it ended before, goes no further back.

    :param by: identifies the task of a run, or a person's command
    :param to: the version to restore, in place of the last good one
    :param bad: only if this version is live; somebody may have published a better one since
    :returns: day, action, from, to and rows by table
    :raises NothingToRestore: there is none, or it is not whole any more; nothing was changed
    """
    past = history(client, day)
    current = past.current
    if current is None:
        raise NothingToRestore(f"{day} was never published: there is no version to restore")
    if current.action == "rollback" and current.by == by:
        return _restore(client, past, current.version, "rollback", by)
    if bad is not None and current.version != bad:
        raise NothingToRestore(f"{day} is at version {current.version}: version {bad} is not live any more")
    if to is None and bad is None and live_prints(client, day) != current.prints:
        return _restore(client, past, current.version, "repair", by)
    target = past.last_good() if to is None else to
    if target is None or target not in past.restorable:
        which = f"version {to}" if to is not None else "a good version before it"
        there = ", ".join(
            f"{number}{' (rolled back)' * (number in past.rolled_back)}" for number in sorted(past.restorable)
        )
        raise NothingToRestore(f"{day} is at version {current.version} and {which} is not kept; kept: {there}")
    return _restore(client, past, target, "rollback", by)


def undo_rollback(client: Client, day: date, by: str) -> dict[str, Any]:
    """Take the last rollback of a day back: what it removed is live again. Doing it again with the same `by` changes nothing.

    :raises NothingToRestore: the last thing that happened was no rollback; nothing was changed
    """
    past = history(client, day)
    current = past.current
    if current and current.action == "undo" and (current.by == by or live_prints(client, day) != current.prints):
        return _restore(client, past, current.version, "undo", by)
    if not past.rollbacks:
        last = (
            f"the last event is {current.action} of version {current.version}" if current else "nothing was published"
        )
        raise NothingToRestore(f"{day} has no rollback to undo: {last}")
    return _restore(client, past, past.rollbacks[-1].before, "undo", by)


def live_prints(client: Client, day: date) -> dict[str, str]:
    """Return rows and hash of each live table of a day."""
    create_tables(client)
    return _prints_of_day(_prints(client, LIVE, day), day)


EMPTY_PRINT = "0:0"


def row_counts(prints: Mapping[str, str]) -> dict[str, int]:
    """Count the rows by table of a version."""
    return {table: int(text.partition(":")[0]) for table, text in prints.items()}


def _restore(client: Client, past: History, version: int, action: str, by: str) -> dict[str, Any]:
    """Make a kept version live. The event comes first: a retry reads in it where to go."""
    day, current, wanted = past.day, past.current, past.restorable.get(version)
    if current is None or wanted is None:
        raise NothingToRestore(f"{day} has no version {version} any more: {KEPT} are kept before the newest")
    slots = _slots(version)
    found = _prints_of_day(_prints(client, slots, day), day)
    if broken := [table for table in slots if found[table] != wanted.prints[table]]:
        raise NothingToRestore(f"version {version} of {day} is not whole: {', '.join(broken)}; nothing was changed")
    if version != current.version:
        record_events(client, [Event(day, _next_seq(past), action, version, current.version, by, wanted.prints)])
    _copy_all(client, day, slots, LIVE)
    if (live := live_prints(client, day)) != wanted.prints:
        raise RuntimeError(
            f"{day} is not version {version} after its restoration, somebody published it meanwhile: {live}"
        )
    before = current.version if version != current.version else current.before
    return {"day": str(day), "action": action, "from": before, "to": version, "rows": row_counts(live)}


def _slots(version: int) -> dict[str, str]:
    return {table: f"{DATABASE}.{table}_{version % SLOTS}" for table in DAYS.tables}


def _copy_all(client: Client, day: date, sources: Mapping[str, str], targets: Mapping[str, str]) -> None:
    for table in DAYS.tables:
        replace_partition(client, targets[table], sources[table], {"flight_date": str(day)})


def _prints(client: Client, tables: Mapping[str, str], day: date | None = None) -> dict[str, dict[date, str]]:
    """Return rows and hash by table and day, in one query: each costs a millisecond before it begins."""
    where = "WHERE flight_date = {day:Date}" if day else ""
    sql = " UNION ALL ".join(
        f"SELECT '{table}', flight_date, {FINGERPRINT} FROM {name} {where} GROUP BY flight_date"
        for table, name in tables.items()
    )
    prints: dict[str, dict[date, str]] = {table: {} for table in tables}
    for table, each, rows, hashed in client.query(sql, parameters={"day": day} if day else None).result_rows:
        prints[table][each] = f"{rows}:{hashed}"
    return prints


def _prints_of_day(prints: Mapping[str, Mapping[date, str]], day: date) -> dict[str, str]:
    return {table: days.get(day, EMPTY_PRINT) for table, days in prints.items()}


def _next_seq(past: History) -> int:
    return 1 + max((event.seq for event in past.events), default=0)


def _tables_exist(client: Client) -> bool:
    sql = f"SELECT count() FROM system.tables WHERE database = '{DATABASE}'"
    return bool(client.query(sql).result_rows[0][0] == SLOTS * len(DAYS.tables) + 1)


def _create_tables(client: Client) -> None:
    if _tables_exist(client):
        return
    client.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
    client.command(EVENTS)
    for table in DAYS.tables:
        for slot in range(SLOTS):
            client.command(f"CREATE TABLE IF NOT EXISTS {DATABASE}.{table}_{slot} AS warehouse.{table}")
