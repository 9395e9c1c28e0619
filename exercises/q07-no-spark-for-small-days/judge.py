"""Decides from the tasks that would have started Spark, from pandas on the raw flights, and from the checksums of each way."""

from answers.exercise.judge import Evidence, Variant, check, expected, wrong

TABLES = ("flights", "daily_delays", "delay_features")


def not_done(run: dict) -> str:
    """Name the tasks that were not done."""
    bad = [task for task, (state, _) in sorted(run["tasks"].items()) if state in ("failed", "upstream_failed")]
    return ", ".join(bad) or "nothing"


@check("small")
def small(seen: Evidence, v: Variant) -> None:
    """Want no Spark below the limit."""
    because = (
        "the rows of the run's interval are fewer than the limit that the run was given; the file has another day, too"
    )
    run = seen.value("small", because)
    day, also = v.hidden["day"], v.hidden["also"]
    interval, file = (sum(len(expected().flights(each, each)) for each in days) for days in ((day,), (day, also)))
    assert interval < v.hidden["between"] < file
    if run["spark"]:
        wrong(seen=f"{run['spark'][0]} started Spark", because=because)
    if run["state"] != "success":
        wrong(seen=f"the run ended as {run['state']}, not done: {not_done(run)}", because=because)


@check("published")
def published(seen: Evidence, v: Variant) -> None:
    """Want the tables of pandas, and both tasks that follow."""
    because = "a small day is published like any other"
    run, day, computed = seen.value("small"), v.hidden["day"], expected()
    for task in ("publish", "summarise"):
        if (state := run["tasks"].get(task, ["missing"])[0]) != "success":
            wrong(seen=f"the run is {run['state']}, and {task} is {state}", because=because)
    for table, wanted, key in (
        ("flights", computed.flights(day, day), computed.FLIGHT_KEY),
        ("daily_delays", computed.daily_delays(day, day), computed.DAILY_DELAYS_KEY),
    ):
        assert len(wanted) > 1
        try:
            computed.assert_equal(seen.table(table, because), wanted, key)
        except AssertionError as error:
            wrong(seen=f"{table} has other rows than the feed gives", because=because, expected=str(error)[:2000])


@check("big")
def big(seen: Evidence, v: Variant) -> None:
    """Want Spark once."""
    because = "the limit was 1, and the day has more rows"
    run = seen.value("big", because)
    if run["spark"] != ["transform"]:
        told = f"{len(run['spark'])} times" if run["spark"] else "not at all"
        wrong(seen=f"Spark was started {told}", because=because)
    if run["state"] != "success" or run["tasks"].get("publish", [""])[0] != "success":
        wrong(seen=f"the run ended as {run['state']}, not done: {not_done(run)}", because=because)


@check("same")
def same_tables(seen: Evidence, v: Variant) -> None:
    """Want the same checksums, and one version."""
    because = "whoever reads the tables must not be able to tell which way they came"
    for table in TABLES:
        small, big = (seen.value(f"{name}-published").get(table, {}).get(v.hidden["day"]) for name in ("small", "big"))
        if not small or small != big:
            wrong(seen=f"{table} has other contents when Spark makes it", because=because)
    if (count := len(seen.table("big-versions"))) != len(seen.table("small-versions")):
        wrong(seen=f"the second run made a new version, there are {count}", because=because)


@check("schema")
def schema(seen: Evidence, v: Variant) -> None:
    """Want the default, and whole numbers from zero on."""
    found = seen.value("accepted")
    if found["default"] != v.told["rows"]:
        wrong(
            seen=f"the default of spark_from_rows is {found['default']}",
            because="the ticket says what holds where nothing is said",
        )
    for name, taken in found["taken"].items():
        if name in ("1", "a million") and not taken:
            wrong(seen=f"a limit of {name} is refused", because="it is a number of rows")
        if name in ("-1", "many", "a half") and taken:
            wrong(seen=f"a limit of {name} is accepted", because="the schema of the Param refuses it with 400")
