"""Publishes a day, damages it, publishes one table again, restores what that left, and tries a day that breaks a rule."""

from answers.exercise.probe import Probe

DAG = "q01_flights_to_clickhouse"
ONE = ["daily_delays"]
SAMPLES = {
    "one": ONE,
    "two": ["daily_delays", "flights"],
    "no table": ["daily_delay"],
    "twice": ["daily_delays", "daily_delays"],
    "empty": [],
    "no list": "daily_delays",
    "nothing": None,
}


def probe(p: Probe) -> None:
    """Record rows and checksums of the tables after each step, and which lists a trigger accepts."""
    day, neighbour = p.hidden["day"], p.hidden["neighbour"]
    p.publish(neighbour, neighbour)
    p.variable("flights_feed", str(p.feed("feed", day)))
    p.inside("accepted", accepted, str(p.project / "dags"))
    p.run("all", DAG, day, engine=True)
    for table in ("flights", "daily_delays"):
        p.sql(f"all-{table}", f"SELECT * FROM warehouse.{table} WHERE flight_date = '{day}'")  # noqa: S608
    p.fingerprints("published")
    p.inside("damage", damage, day, p.hidden["lost"], ["flights", "daily_delays", "delay_features"])
    p.fingerprints("damaged")
    p.run("one", DAG, day, {"tables": ONE}, engine=True)
    p.fingerprints("one-published")
    p.inside("damage-again", damage, day, p.hidden["lost"], ONE)
    p.inside("restore", restore, day)
    p.fingerprints("restored")
    p.variable("flights_feed", str(p.feed("broken", day, flights=without_a_departure)))
    p.run("broken", DAG, day, {"tables": ONE}, engine=True)
    p.fingerprints("broken-published")


def without_a_departure(text: str) -> str:
    """Take the departure time from the first flight that has a delay: no cancelled flight has one."""
    head, *lines = text.splitlines()
    names = head.split(",")
    at, delay = names.index("dep_time"), names.index("dep_delay")
    for number, line in enumerate(lines):
        values = line.split(",")
        if values[delay] not in ("NA", "") and values[at] not in ("NA", ""):
            values[at] = "NA"
            lines[number] = ",".join(values)
            break
    return "\n".join([head, *lines]) + "\n"


def accepted(folder: str) -> dict[str, bool]:
    """Tell which lists a trigger accepts: this is what the API does before it makes a run."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.exceptions import ParamValidationError
    from airflow.serialization.serialized_objects import DagSerialization

    bag = DagBag(dag_folder=f"{folder}/{DAG}.py")
    dag = DagSerialization.from_dict(DagSerialization.to_dict(bag.dags[DAG]))
    found = {"there is a Param": "tables" in dag.params}
    for name, value in SAMPLES.items():
        try:
            dag.params.deep_merge({"tables": value}).validate()
            found[name] = True
        except (ParamValidationError, ValueError):
            found[name] = False
    return found


def damage(day: str, lost: str, tables: list[str]) -> int:
    """Take the flights of an airport out of tables."""
    from answers.exercise.steps import _warehouse

    client = _warehouse()
    try:
        for table in tables:
            column = "origin" if table != "delay_features" else "carrier"
            value = lost if column == "origin" else "UA"
            client.command(
                f"ALTER TABLE warehouse.{table} DELETE WHERE flight_date = '{day}' AND {column} = '{value}'",
                settings={"mutations_sync": 1},
            )
    finally:
        client.close()
    return len(tables)


def restore(day: str) -> int:
    """Restore the version that the day is at, as `answers rollback --to` does; returns how many versions there are."""
    from datetime import date

    from answers.exercise.steps import _warehouse
    from include.flights import versions

    client = _warehouse()
    try:
        past = versions.history(client, date.fromisoformat(day))
        versions.rollback_day(client, date.fromisoformat(day), by="probe", to=past.current.version)
        return len({event.version for event in past.events})
    finally:
        client.close()
