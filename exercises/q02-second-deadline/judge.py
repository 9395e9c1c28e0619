"""Decides from the deadlines that runs were given, and from what repeated misses have left."""

from collections import Counter

from answers.exercise.judge import Evidence, Variant, check, same, wrong

DAY = 24 * 60 * 60  # seconds; no deadline of a daily report lies further away
WHO = {"scheduled": "a scheduled run", "manual": "a run that somebody asks for", "backfill": "a run of a backfill"}


@check("two")
def two(seen: Evidence, v: Variant) -> None:
    """Want two alerts."""
    alerts = seen.value("alerts")
    if len(alerts) != 2:
        wrong(
            seen=f"the report has {len(alerts)} deadlines", because="the half hour stays, and an earlier one is added"
        )


@check("import")
def imports(seen: Evidence, v: Variant) -> None:
    """Want every path to be found without DAG files."""
    for path, error in seen.value("imported").items():
        if error:
            because = "scheduler and triggerer import it by this path, and have no DAG files"
            wrong(seen=f"{path}: {error}", because=because)


def deadlines(seen: Evidence, name: str, because: str) -> dict[str, list[int]]:
    """Return seconds from when each run could begin to its deadlines."""
    seen.value("stored", because)
    found: dict[str, list[int]] = seen.value(f"created-{name}", because)
    return found


@check("fresh")
def fresh(seen: Evidence, v: Variant) -> None:
    """Want runs with two deadlines on a database that only the set-up has seen."""
    because = "on a new installation the set-up alone has made the Variables"
    for kind, found in deadlines(seen, "fresh", because).items():
        if not found:
            wrong(seen=f"{WHO[kind]} has no deadline", because="each new run has two, whoever asked for it")
        if kind == "scheduled" and len(found) != len(seen.value("alerts")):
            wrong(seen=f"{WHO[kind]} has {len(found)} deadlines", because="each new run has two")


@check("clear")
def clear(seen: Evidence, v: Variant) -> None:
    """Want what clearing does first to end well."""
    seen.value("cleared", "clearing a run before its deadlines would answer 500")


@check("due")
def due(seen: Evidence, v: Variant) -> None:
    """Want every deadline after the run could begin, and not days later."""
    because = (
        "a scheduled run could begin at the end of its interval, one that is asked for when it is asked for, "
        "a backfill's when it is queued"
    )
    for name in ("fresh", "later"):
        for kind, found in deadlines(seen, name, because).items():
            if len(found) != len(seen.value("alerts")):
                wrong(
                    seen=f"{WHO[kind]} has {len(found)} deadlines", because="each new run has two, whoever asked for it"
                )
            if bad := [seconds for seconds in found if not 0 < seconds < DAY]:
                late = "before it could begin" if bad[0] < 0 else "after it could begin"
                wrong(seen=f"a deadline of {WHO[kind]} lies {abs(bad[0])} seconds {late}", because=because)


@check("changeable")
def changeable(seen: Evidence, v: Variant) -> None:
    """Want the Variables' seconds of the moment."""
    early, late = v.told["seconds"], max(deadlines(seen, "fresh", "")["scheduled"])
    same(
        deadlines(seen, "fresh", "")["scheduled"],
        [early, late],
        "seconds to the deadlines after the set-up",
        "the ticket names the default",
    )
    wanted = sorted((v.hidden["warn"], v.hidden["report"]))
    for kind, found in deadlines(seen, "later", "").items():
        because = "the Variables were changed before the run was created, without a deploy"
        same(found, wanted, f"seconds to the deadlines of {WHO[kind]}", because)


@check("owners")
def owners(seen: Evidence, v: Variant) -> None:
    """Want each owner in a notice and in a record."""
    because = "who is to act must be in what is told"
    seen.value("missed-first", because)
    wanted = {v.told["early"], v.told["late"]}
    for name, what in (("told", "notices are for"), ("records", "records are for")):
        same(sorted({each["owner"] for each in seen.value(name)}), sorted(wanted), what, because)


@check("once")
def once(seen: Evidence, v: Variant) -> None:
    """Want one notice and one record a deadline, though each was called twice."""
    because = "a triggerer that was killed calls again; nobody wants to be told twice of one thing"
    seen.value("missed-again", because)
    for name, what in (("told", "notices"), ("records", "records")):
        for id_, times in Counter(each["id"] for each in seen.value(name)).items():
            if times > 1:
                wrong(seen=f"{times} {what} of {id_}", because=because)
