"""Decides from the keys that the receiver was sent, and from where one can be read afterwards."""

from answers.exercise.judge import Evidence, Variant, check, wrong

TAKEN = 200
CALLERS = {"/refunds": "the refunds", "/deadline": "a missed deadline"}


def posts(seen: Evidence, name: str, path: str, because: str) -> list[dict]:
    """Return the posts to a path of a part of the probe."""
    found = [each for each in seen.value(f"{name}-seen") if each["path"] == path]
    if not found:
        wrong(seen=f"nothing was posted to {path}", because=because)
    return found


def require_success(seen: Evidence, name: str, because: str) -> None:
    """Convict where the run of the refunds has failed."""
    run = seen.value(name, because)
    if run["state"] != "success":
        wrong(seen=f"the run of q09_refunds ended as {run['state']}", because=because)


@check("sent")
def sent(seen: Evidence, v: Variant) -> None:
    """Want the key in posts of both kinds."""
    first = v.hidden["keys"][0]
    for name, path in (("refunds", "/refunds"), ("missed", "/deadline")):
        because = "the receiver takes nothing without its key, and all that posts there is to go on"
        for each in posts(seen, name, path, because)[:1]:
            if each["code"] != TAKEN:
                told = "no key" if each["key"] == "none" else "another key"
                wrong(
                    seen=f"{CALLERS[path]} had {told} and was answered {each['code']}", because=because, expected=first
                )
    require_success(seen, "refunds", "the notices were taken")


@check("rotated")
def rotated(seen: Evidence, v: Variant) -> None:
    """Want the second post of one process with the second key."""
    because = "the key was changed in between, and the triggerer runs for weeks"
    keys = [each["key"] for each in posts(seen, "missed", "/deadline", because)]
    if v.hidden["keys"][1] not in keys:
        wrong(seen="the post after the change had the key of before", because=because)


@check("none")
def none(seen: Evidence, v: Variant) -> None:
    """Want no header, and no error."""
    because = "an installation whose receiver wants no key goes on as it was"
    require_success(seen, "refunds-without", because)
    seen.value("missed-without", because)
    for path, what in CALLERS.items():
        for each in posts(seen, "without", path, because):
            if each["key"] != "none":
                wrong(seen=f"{what} had the header, with {each['key']!r}", because=because)


@check("others")
def others(seen: Evidence, v: Variant) -> None:
    """Want the partner without the key."""
    because = "the key is between us and one receiver; the partner is another one"
    seen.value("partner", because)
    for each in posts(seen, "partner", "/partner", because):
        if each["key"] != "none":
            wrong(seen="the partner was sent a key", because=because)


@check("hunt")
def hunt(seen: Evidence, v: Variant) -> None:
    """Want the key in no file."""
    because = "whoever may look at a run may read it there, and so may a backup"
    if places := seen.value("found"):
        wrong(seen=f"the key is in {', '.join(places[:3])}", because=because)
    told = [name for name in ("refunds", "missed") if any(key in str(seen.value(name)) for key in v.hidden["keys"])]
    if told:
        wrong(seen=f"the key is in what {told[0]} returns", because=because)
