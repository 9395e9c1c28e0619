"""Compares the shapes of both commits, and computes checksums and seats anew from the files."""

import base64
import hashlib
import json

from answers.deploy.shape import compare_dags
from answers.exercise.judge import Evidence, Variant, check, expected, wrong

DAG = "q10_canary"
MAKERS = 12


def written_by(seen: Evidence, name: str, because: str) -> dict[str, bytes]:
    """Return the files of a run that has ended well: {ending: contents}."""
    run = seen.value(name, because)
    if run["state"] != "success":
        bad = [task for task, (state, _) in sorted(run["tasks"].items()) if state != "success"]
        wrong(seen=f"the run {name} ended as {run['state']}, not done: {', '.join(bad)}", because=because)
    return {ending: base64.b64decode(text) for ending, text in run["files"].items()}


@check("compatible")
def compatible(seen: Evidence, v: Variant) -> None:
    """Want no reason to pause in any DAG."""
    before, after = (seen.value(name)["dags"] for name in ("parsed-before", "parsed"))
    for change in compare_dags(before, after):
        if change.why or change.must_end:
            wrong(
                seen=f"{change.dag_id}: {'; '.join(change.why) or 'its runs must end first'}",
                because="the deploy would pause the DAG, or wait until its runs have ended",
            )


@check("either-platform")
def either_platform(seen: Evidence, v: Variant) -> None:
    """Want the new DAG file to run on the old platform, and the old one to load on the new."""
    on_old = (
        "dags/ is pinned to the run's commit; include/ and plugins/ come with the image, which may be the one of before"
    )
    on_new = "a run that was under way keeps its dags/ and gets the new image"
    written_by(seen, "new-on-old", on_old)
    seen.value("old-on-new", on_new)


@check("written")
def written(seen: Evidence, v: Variant) -> None:
    """Want the task, and a file for each algorithm."""
    for name, algorithm in (("new-on-old", v.told["algorithm"]), ("new", v.told["other"])):
        because = "a run can be triggered without a configuration, and with either algorithm"
        files = written_by(seen, name, because)
        if "checksum" not in seen.value(name)["tasks"]:
            wrong(seen="there is no task checksum", because="the ticket names it")
        endings = sorted(set(files) - {"json"})
        if endings != [algorithm]:
            because = f"RUN.{algorithm}, and nothing else, is to lie beside RUN.json"
            wrong(seen=f"beside the report there is {', '.join(endings) or 'nothing'}", because=because)


@check("report")
def report(seen: Evidence, v: Variant) -> None:
    """Compare the report with the register of planes."""
    planes = expected().raw("planes.csv")
    seats = planes.groupby("manufacturer")["seats"].sum().nlargest(MAKERS)
    wanted = {maker: int(number) for maker, number in seats.items()}
    assert wanted
    for name in ("new-on-old", "new"):
        found = json.loads(written_by(seen, name, "the report is still written")["json"])
        if found != wanted:
            more = ", ".join(sorted(set(found) - set(wanted))[:3])
            told = f"has {more} in it" if more else "has other figures"
            wrong(seen=f"RUN.json {told}", because="those who read the report expect it as it was", expected=wanted)


@check("right")
def right(seen: Evidence, v: Variant) -> None:
    """Compute each checksum anew."""
    for name, algorithm in (("new-on-old", v.told["algorithm"]), ("new", v.told["other"])):
        files = written_by(seen, name, "the checksum is written")
        words = files[algorithm].decode("utf-8", "replace").split()
        digest = hashlib.new(algorithm, files["json"]).hexdigest()
        if words[:1] != [digest]:
            first = f"begins with {words[0][:12]}…" if words else "is empty"
            because = "the first word is the checksum of the file RUN.json, byte for byte"
            wrong(seen=f"RUN.{algorithm} {first}", because=because, expected=digest)


@check("refused")
def refused(seen: Evidence, v: Variant) -> None:
    """Want the Param's schema to take the two algorithms only."""
    found = seen.value("accepted")
    for algorithm in (v.told["algorithm"], v.told["other"]):
        if not found[algorithm]:
            wrong(seen=f"{algorithm} is refused", because="it is one of the two that the ticket names")
    if taken := [value for value in v.hidden["unknown"] if found[value]]:
        because = "the schema of the Param refuses it with 400, before there is a run that fails in its last task"
        wrong(seen=f"a run with algorithm {taken[0]!r} is accepted", because=because)
