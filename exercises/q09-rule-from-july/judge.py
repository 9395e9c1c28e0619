"""Compares what the airlines were told with pandas on the raw flights."""

from datetime import date, timedelta

from answers.exercise.judge import Evidence, Variant, check, expected, wrong

OLD_MINUTES = 180
DAYS_TO_PAY = 20


def owed(day: str, minutes: int) -> dict[str, tuple[int, int]]:
    """Compute what is owed: carrier -> (cancelled, late)."""
    flights = expected().flights(day, day)
    late = flights["arr_delay"] >= minutes
    counts = flights.assign(late=late).groupby("carrier")[["cancelled", "late"]].sum()
    return {
        carrier: (int(row.cancelled), int(row.late)) for carrier, row in counts.iterrows() if row.cancelled or row.late
    }


def told(seen: Evidence, name: str) -> dict[str, tuple[int, int]]:
    """Return what a run has told: carrier -> (cancelled, late)."""
    run = seen.value(name)
    if run["state"] != "success":
        tasks = ", ".join(f"{task} {state}" for task, (state, _) in sorted(run["tasks"].items()))
        wrong(seen=f"the run of {name} ended as {run['state']} ({tasks})", because="every day of the data can be run")
    return {body["carrier"]: (body["cancelled"], body["late"]) for body in seen.value(f"{name}-told")}


def compare(seen: Evidence, name: str, day: str, minutes: int, because: str) -> None:
    """Convict where a run has told other counts."""
    found, wanted = told(seen, name), owed(day, minutes)
    assert wanted
    if found != wanted:
        late, due = (sum(count for _, count in rows.values()) for rows in (found, wanted))
        much = "too many" if late > due else "too few" if late < due else "of the wrong airlines"
        wrong(seen=f"{late} late flights of {day} are paid back: {much}", because=because, expected=wanted)


@check("before")
def before(seen: Evidence, v: Variant) -> None:
    """Judge an old day, run a day later."""
    compare(seen, "old", v.hidden["old_day"], OLD_MINUTES, "the day lies before the new rule: three hours hold")


@check("after")
def after(seen: Evidence, v: Variant) -> None:
    """Judge a new day."""
    compare(seen, "new", v.hidden["new_day"], v.told["minutes"], "the day lies after the rule's first day")


@check("edge")
def edge(seen: Evidence, v: Variant) -> None:
    """Judge the rule's first day."""
    because = "it is the rule's first day, and a flight that is late to the minute counts"
    compare(seen, "first", v.told["first_day"], v.told["minutes"], because)


@check("evening")
def evening(seen: Evidence, v: Variant) -> None:
    """Judge the last day of the old rule, whose evening is the next day in UTC."""
    because = "a flight's day is its local date of departure; in UTC its evening is the next day, as is the run's logical date"
    compare(seen, "evening", v.told["day_before"], OLD_MINUTES, because)


@check("clock")
def clock(seen: Evidence, v: Variant) -> None:
    """Judge an old day that is run when the new rule holds."""
    because = "the day is run again later, and is judged by the rule of then: neither the clock nor the run decides"
    compare(seen, "old-again", v.hidden["old_day"], OLD_MINUTES, because)


@check("notices")
def notices(seen: Evidence, v: Variant) -> None:
    """Look at the notices' other fields."""
    day = date.fromisoformat(v.hidden["new_day"])
    pay_by = day + timedelta(days=DAYS_TO_PAY)
    told(seen, "new")
    for body in seen.value("new-told"):
        wanted = {
            "id": f"{day}-{body['carrier']}",
            "day": str(day),
            "pay_by": str(pay_by),
            "days_left": DAYS_TO_PAY - 1,
        }
        if (found := {key: body.get(key) for key in wanted}) != wanted:
            wrong(seen=f"a notice says {found}", because="only the counts change", expected=wanted)


@check("tests")
def tests(seen: Evidence, v: Variant) -> None:
    """Want tests that pass with the change and fail without it."""
    files = seen.value("tests-changed")
    if not files:
        wrong(seen="no test file was changed or added", because="the change is to bring tests of its own")
    with_it, without = (seen.value(f"tests-{each}-it")["tests"] for each in ("with", "without"))
    if failed := [name for name, outcome in with_it.items() if outcome in ("failed", "error")]:
        wrong(seen=f"{failed[0]} fails with the change", because="the tests that come with a change pass")
    if "passed" not in with_it.values():
        wrong(seen=f"no test of {', '.join(files)} passes", because="the tests that come with a change pass")
    if not any(outcome in ("failed", "error") for outcome in without.values()):
        because = "a test of the change fails where the change is missing"
        wrong(seen=f"all {len(without)} tests of {', '.join(files)} pass on the project as it was", because=because)
