"""Decides from the messages that were inserted: which changes they are, and which of them came first."""

from collections import Counter

from answers.exercise.judge import Evidence, Variant, check, same, wrong

COLUMNS = ["topic", "topic_id", "partition", "offset", "event_id", "flight", "status", "at", "run_id", "handled_at"]
Change = tuple[str, str, str, str]


def instant(text: object) -> str:
    """Write an instant without what the reader's library adds."""
    return str(text)[:19]


def change(row: dict) -> Change:
    """Return what one change is: topic, flight, status, instant."""
    return row["topic"], row["flight"], row["status"], instant(row["at"])


def changes(seen: Evidence) -> dict[Change, dict]:
    """Return each change of the messages, with the first message of it."""
    found: dict[Change, dict] = {}
    for each in seen.value("messages"):
        if each["outcome"] == "applied":
            found.setdefault(change(each), each)
    assert found
    return found


def effects(seen: Evidence, name: str, because: str) -> list[dict]:
    """Return the rows of the view on an installation."""
    seen.value(f"{name}-inserted", because)
    rows: list[dict] = seen.value(f"{name}-effects", because)
    return rows


def told(key: Change) -> str:
    """Write a change for a message."""
    topic, flight, status, at = key
    return f"{flight} {status} at {at} of {topic}"


@check("kept")
def kept(seen: Evidence, v: Variant) -> None:
    """Want every change."""
    because = "it differs from all others in flight, status, instant or topic"
    there = {change(row) for row in effects(seen, "new", because)}
    for key in changes(seen):
        if key not in there:
            wrong(seen=f"{told(key)} is gone", because=because)


def require_once(seen: Evidence, name: str, because: str) -> None:
    """Convict where a change has several rows."""
    times = Counter(change(row) for row in effects(seen, name, because))
    for key, count in times.items():
        if key not in changes(seen):
            wrong(seen=f"there is {told(key)}, which no message says", because=because)
        if count > 1:
            wrong(seen=f"{told(key)} has {count} rows", because=because)


@check("once")
def once(seen: Evidence, v: Variant) -> None:
    """Want one row a change, on a new installation."""
    require_once(
        seen, "new", "it is one change, though it came under several ids, from workers of today and of yesterday"
    )


@check("old")
def old(seen: Evidence, v: Variant) -> None:
    """Want one row a change, where view and rows were there before."""
    because = "the installation had the view and these messages before, and the next run was to put it right"
    require_once(seen, "old", because)
    if {change(row) for row in effects(seen, "old", because)} != set(changes(seen)):
        wrong(seen="changes of before are gone", because=because)


@check("first")
def first(seen: Evidence, v: Variant) -> None:
    """Want the first message of each change, and the columns of before."""
    for name in ("new", "old"):
        for row in effects(seen, name, "readers read the view"):
            same(sorted(row), sorted(COLUMNS), "columns of flight_status", "its readers know the columns of today")
            wanted = changes(seen)[change(row)]
            if (int(row["offset"]), row["event_id"]) != (wanted["offset"], wanted["event_id"]):
                because = "the message that was handled first is the change, later ones repeat it"
                wrong(seen=f"{told(change(row))} is the message {row['event_id']} at {row['offset']}", because=because)
            if instant(row["handled_at"]) != instant(wanted["handled_at"]):
                wrong(seen=f"{told(change(row))} is handled at {row['handled_at']}", because="it was handled before")


@check("inbox")
def inbox(seen: Evidence, v: Variant) -> None:
    """Want a row a message in the inbox, and no effect of a dead one."""
    because = "the audit compares the inbox with the topic: what is not there counts as waiting, or as lost"
    wanted = {(each["topic"], each["offset"], each["outcome"]) for each in seen.value("messages")}
    for name in ("new", "old"):
        seen.value(f"{name}-inserted", because)
        found = {(row["topic"], int(row["offset"]), row["outcome"]) for row in seen.value(f"{name}-inbox", because)}
        if missing := wanted - found:
            wrong(seen=f"{len(missing)} of {len(wanted)} messages are gone from the inbox", because=because)
        if any(not row["flight"] for row in effects(seen, name, because)):
            wrong(seen="a dead letter has a row in flight_status", because="it is no change of a flight")


@check("now")
def now(seen: Evidence, v: Variant) -> None:
    """Want the status of the latest instant, a flight."""
    wanted: dict[tuple[str, str], tuple[str, str]] = {}
    for topic, flight, status, at in changes(seen):
        wanted[topic, flight] = max(wanted.get((topic, flight), ("", "")), (at, status))
    for name in ("new", "old"):
        because = "the last status is the one with the latest instant, in whatever order the messages came"
        found = {
            (row["topic"], row["flight"]): (instant(row["since"]), row["status"])
            for row in seen.value(f"{name}-now", because)
        }
        for key, (at, status) in found.items():
            if wanted.get(key) != (at, status):
                wrong(seen=f"{key[1]} is {status} since {at}", because=because)
        if set(found) != set(wanted):
            wrong(seen=f"{len(found)} flights have a last status", because="each flight with a change has one")
