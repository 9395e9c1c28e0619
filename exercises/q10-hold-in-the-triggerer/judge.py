"""Decides from what the task, its trigger and its end were seen to do."""

from answers.exercise.judge import Evidence, Variant, check, shown, wrong

GRACE = 120  # seconds by which a limit of the platform may come after the trigger's own


def deferral(seen: Evidence, name: str) -> dict:
    """Return the deferral of a held task."""
    because = "with the file there, the task looks once and defers"
    found: dict = seen.value(name, because)
    if not found["trigger"]:
        wrong(seen=f"with the file there the task {found['how']}", because=because)
    return found


@check("waits")
def waits(seen: Evidence, v: Variant) -> None:
    """Want a deferral, and the limit as the task's attribute."""
    found = deferral(seen, "held")
    if found["timeout"] != v.told["seconds"]:
        because = "the ticket says how long it may wait"
        wrong(seen=f"its timeout is {found['timeout']}", because=because)


@check("not-at-all")
def not_at_all(seen: Evidence, v: Variant) -> None:
    """Want no deferral where nothing holds the run."""
    for name, what in (("no-name", "without a name"), ("no-file", "without the file")):
        because = "what nothing holds is done at the first look"
        if seen.value(name, because)["trigger"]:
            wrong(seen=f"{what} it defers", because=because)


@check("import")
def imports(seen: Evidence, v: Variant) -> None:
    """Want the trigger to be found without DAG files."""
    error = seen.error("released")
    if error and error["type"] in ("ImportError", "ModuleNotFoundError", "AttributeError"):
        because = "the triggerer imports it by this path, and has no DAG files on its own"
        path = deferral(seen, "held")["trigger"][0]
        wrong(seen=f"the triggerer cannot import {path}: {error['message']}", because=because)


@check("released")
def released(seen: Evidence, v: Variant) -> None:
    """Want an event after the file's end, not before, and a task that goes on."""
    because = "the run goes on within seconds of the file's end, and not before"
    found = seen.value("released", because)
    if found["too_soon"]:
        wrong(seen="the trigger ended while the file was there", because=because)
    if not found["event"]:
        wrong(seen="the file was gone, and ten seconds later the trigger had not seen it", because=because)
    went = seen.value("went-on", because)
    if went["how"] != "went on":
        wrong(seen=f"after the file's end the task failed: {went['error']}: {went['text']}", because=because)


@check("restart")
def restart(seen: Evidence, v: Variant) -> None:
    """Want a trigger of two hours ago to end at once, or the platform to end it in time."""
    deferred = deferral(seen, "hours-ago")
    found = seen.value("restarted")
    limited = deferred["limit"] is not None and deferred["limit"] <= v.told["seconds"] + GRACE
    if not found["event"] and not limited:
        wrong(
            seen="the first look was two hours ago, the trigger was restarted, and it goes on waiting",
            because="the end is an instant: a triggerer that takes over goes on with the same clock",
        )


@check("end")
def end(seen: Evidence, v: Variant) -> None:
    """Want an error that names the file."""
    because = "whoever is called must know from the error which file holds the run"
    ended = seen.value("ended", because)
    if ended["how"] != "failed":
        wrong(seen=f"when the time was up the task {ended['how']}", because="a run that is held for too long fails")
    if "hold-this-run" not in ended["text"]:
        wrong(seen=f"the error says: {shown(ended['text']) or 'nothing'}", because=because)


@check("loop")
def loop(seen: Evidence, v: Variant) -> None:
    """Want no blocking call in the loop's own thread."""
    because = "all triggers share one loop: on a slow disk each of them waits for this call"
    found = seen.value("slow-disk", because)
    if found["calls"]:
        wrong(seen=f"{', '.join(found['calls'])} is called in the triggerer's loop", because=because)
    if not found["looked"]:
        wrong(seen="the trigger never looked at the file", because="it waits for the file's end")
