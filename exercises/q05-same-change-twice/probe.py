"""Makes the tables anew and on an installation of before, inserts as yesterday's workers do, and reads the views."""

import shutil

from answers.exercise.probe import Probe

VIEWS = {
    "effects": "SELECT * FROM warehouse.flight_status",
    "now": "SELECT topic, flight, status, since FROM warehouse.flight_status_now",
    "inbox": "SELECT topic, partition, offset, outcome FROM warehouse.flight_status_inbox FINAL",
}


def probe(p: Probe) -> None:
    """Record what a new installation and one of before say of the same messages."""
    messages = sent(p.hidden["day"], p.hidden["flights"])
    p.note("messages", messages)
    before = [each for each in messages if each["batch"] == "before"]
    shutil.copytree(p.start / "include", p.home / "before/include")  # a step sees the home, and not the tree of before
    p.inside("installed", insert, str(p.home / "old"), str(p.home / "before"), before)
    for name in ("new", "old"):
        folder, rest = str(p.home / name), [each for each in messages if name == "new" or each["batch"] != "before"]
        p.inside(f"{name}-inserted", insert, folder, str(p.project), rest)
        for view, query in VIEWS.items():
            p.inside(f"{name}-{view}", read, folder, query)


def sent(day: str, flights: list[str]) -> list[dict]:
    """List messages: some changes under two ids, in one batch, in another one, in another order than they happened."""
    first, second, third = (f"{day}/{number}/EWR" for number in flights)
    morning, noon, evening = (f"{day} {clock}.000" for clock in ("14:00:00", "15:30:00", "23:45:00"))
    topic = "flight-status-event"
    rows = [
        ("before", topic, 0, "applied", "e1", first, "delayed", morning),
        ("before", topic, 1, "applied", "e2", first, "delayed", morning),
        ("before", topic, 2, "applied", "e3", first, "delayed", noon),
        ("before", topic, 3, "applied", "e4", first, "cancelled", morning),
        ("before", topic, 4, "applied", "e5", second, "delayed", morning),
        ("before", topic, 5, "dead", "", "", "", None),
        ("before", "flight-status-sensor", 0, "applied", "e1", first, "delayed", morning),
        ("after", topic, 6, "applied", "e6", first, "delayed", morning),
        ("after", topic, 7, "applied", "e7", third, "landed", evening),
        ("after", topic, 8, "applied", "e7", third, "landed", evening),
        ("after", topic, 9, "applied", "e8", third, "departed", noon),
        ("after", topic, 10, "applied", "e9", third, "landed", evening),
        ("after", topic, 11, "dead", "", "", "", None),
    ]
    names = ("batch", "topic", "offset", "outcome", "event_id", "flight", "status", "at")
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [each | {"handled_at": f"2026-01-31 12:00:{number:02}.000"} for number, each in enumerate(found)]


def insert(folder: str, tree: str, messages: list[dict]) -> int:
    """Make the tables with a tree's code, then insert, message by message, with the columns of yesterday's code."""
    import sys

    import clickhouse_connect

    sys.path.insert(0, tree)
    from include.flight_status import process

    client = clickhouse_connect.get_client(interface="chdb", path=folder)
    columns = (
        "topic",
        "topic_id",
        "partition",
        "offset",
        "outcome",
        "reason",
        "event_id",
        "flight",
        "status",
        "at",
        "run_id",
    )
    values = ", ".join(f"{{{name}:{kind}}}" for name, kind in zip(columns, KINDS, strict=True))
    into = f"INSERT INTO warehouse.flight_status_inbox ({', '.join(columns)}, handled_at)"
    statement = f"{into} VALUES ({values}, {{handled_at:String}})"
    for each in messages:
        process.create_tables(client)  # as each run does first
        rest = {"topic_id": each["topic"], "partition": 0, "reason": "", "run_id": "probe"}
        client.command(statement, parameters={name: (each | rest)[name] for name in (*columns, "handled_at")})
    process.create_tables(client)
    client.close()
    return len(messages)


KINDS = (
    "String",
    "String",
    "UInt16",
    "UInt64",
    "String",
    "String",
    "String",
    "String",
    "String",
    "Nullable(DateTime64(3, 'UTC'))",
    "String",
)


def read(folder: str, query: str) -> list[dict]:
    """Read rows as texts."""
    import clickhouse_connect

    client = clickhouse_connect.get_client(interface="chdb", path=folder)
    try:
        answer = client.query(query)
        return [
            {name: str(value) for name, value in zip(answer.column_names, row, strict=True)}
            for row in answer.result_rows
        ]
    finally:
        client.close()
