"""Compares the day's tables with pandas, and rows and checksums of each step with those of the steps before."""

from answers.exercise.judge import Evidence, Variant, check, expected, wrong

ONE, OTHERS = "daily_delays", ("flights", "delay_features")


def require(seen: Evidence, name: str, state: str, because: str) -> None:
    """Convict where a run ended otherwise."""
    run = seen.value(name, because)
    if run["state"] != state:
        bad = [
            task
            for task, (found, _) in sorted(run["tasks"].items())
            if found in ("failed", "upstream_failed", "skipped")
        ]
        wrong(seen=f"the run ended as {run['state']}, not done: {', '.join(bad) or 'nothing'}", because=because)


def prints(seen: Evidence, name: str, v: Variant, table: str) -> list[int] | None:
    """Return rows and checksum of a table of the day."""
    found: list[int] | None = seen.value(name).get(table, {}).get(v.hidden["day"])
    return found


@check("all")
def everything(seen: Evidence, v: Variant) -> None:
    """Want the tables of pandas."""
    because = "a run that says nothing is one of today's"
    require(seen, "all", "success", because)
    day, computed = v.hidden["day"], expected()
    for table, wanted, key in (
        ("flights", computed.flights(day, day), computed.FLIGHT_KEY),
        ("daily_delays", computed.daily_delays(day, day), computed.DAILY_DELAYS_KEY),
    ):
        assert len(wanted) > 1
        try:
            computed.assert_equal(seen.table(f"all-{table}", because), wanted, key)
        except AssertionError as error:
            wrong(seen=f"{table} has other rows than the feed gives", because=because, expected=str(error)[:2000])
    if not prints(seen, "published", v, "delay_features"):
        wrong(seen="delay_features has no rows of the day", because=because)


@check("only")
def only(seen: Evidence, v: Variant) -> None:
    """Want the one table as it was published, and the others as they were damaged."""
    because = "the run was to publish one table, and to leave the others, which are being audited"
    require(seen, "one", "success", because)
    seen.value("damage")
    for table in OTHERS:
        if prints(seen, "one-published", v, table) != prints(seen, "damaged", v, table):
            wrong(seen=f"{table} is not as it was before the run", because=because)
    if prints(seen, "one-published", v, ONE) != prints(seen, "published", v, ONE):
        wrong(seen=f"{ONE} is not what the feed gives", because=because)


@check("versions")
def versions(seen: Evidence, v: Variant) -> None:
    """Want all three tables as the run had left them, after another damage and a restoration."""
    because = "the run had made a version of the day, and restoring it brings the day back as the run had left it"
    count = seen.value("restore", because)
    for table in (ONE, *OTHERS):
        if prints(seen, "restored", v, table) != prints(seen, "one-published", v, table):
            wrong(seen=f"restored, with {count} versions there, {table} is not as the run had left it", because=because)


@check("agree")
def agree(seen: Evidence, v: Variant) -> None:
    """Want no publication from a day whose flights break a rule."""
    because = "the tables of a day must agree: a flight that breaks a rule is in the delays as well"
    if seen.value("broken", because)["state"] == "success":
        wrong(
            seen="a day with a cancelled flight that has a delay was published, as the run asked for another table",
            because=because,
        )
    for table in (ONE, *OTHERS):
        if prints(seen, "broken-published", v, table) != prints(seen, "restored", v, table):
            wrong(seen=f"the run failed, and {table} was changed by it", because=because)


@check("refused")
def refused(seen: Evidence, v: Variant) -> None:
    """Want the Param's schema to take lists of tables."""
    found = seen.value("accepted")
    if not found.pop("there is a Param"):
        wrong(seen="there is no Param tables", because="the ticket names it")
    for name, taken in found.items():
        if name in ("one", "two") and not taken:
            wrong(seen=f"a list of {name} is refused", because="these are names of tables")
        if name not in ("one", "two") and taken:
            because = "the schema of the Param refuses it with 400, before a run is green that has published nothing"
            wrong(seen=f"tables: {name}: is accepted", because=because)


@check("neighbours")
def neighbours(seen: Evidence, v: Variant) -> None:
    """Want the other day as it was."""
    for name in ("one-published", "restored", "broken-published"):
        before, after = (seen.value(each)["flights"].get(v.hidden["neighbour"]) for each in ("published", name))
        if not before or before != after:
            wrong(seen="another day's flights were changed", because="the run was for one day")
