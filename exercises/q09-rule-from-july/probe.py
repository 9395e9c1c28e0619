"""Runs q09_refunds for five days and clocks, with a real receiver, and the candidate's tests on both trees."""

from datetime import date, timedelta

from answers.exercise.probe import Probe

DAG = "q09_refunds"


def probe(p: Probe) -> None:
    """Record what the airlines are told, then what the candidate's tests say."""
    first, old, new = p.told["first_day"], p.hidden["old_day"], p.hidden["new_day"]
    before = p.told["day_before"]
    for day in (old, before, first, new):
        p.publish(day, day)
    runs = {
        "old": (old, noon_after(old)),
        "new": (new, noon_after(new)),
        "first": (first, noon_after(first)),
        "evening": (before, f"{before}T23:00:00-04:00"),
        "old-again": (old, noon_after(new)),
    }
    with p.catcher("ops_webhook") as server:
        for name, (day, now) in runs.items():
            p.run(name, DAG, day, {"now": now})
            p.note(f"{name}-told", [message["body"] for message in server.received("/refunds")])
            server.forget()
    files = p.changed_tests()
    p.note("tests-changed", files)
    if files:
        p.tests("tests-with-it", files)
        p.tests("tests-without-it", files, on="start")


def noon_after(day: str) -> str:
    """Return noon of the next day in New York's summer."""
    return f"{date.fromisoformat(day) + timedelta(days=1)}T12:00:00-04:00"
