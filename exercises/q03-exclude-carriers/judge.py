"""Compares what each run left in the tables with pandas and with the run before, and documents with what a list of codes is."""

from answers.exercise.judge import Evidence, Variant, check, expected, wrong

RIGHT = ("no key", "one code", "two codes", "a code beside carriers")
BOTH = "both lists"  # which no JSON Schema can refuse


def published(seen: Evidence, name: str, because: str) -> dict[tuple[str, str, str], tuple]:
    """Return what a run has left: (layer, airport, carrier) -> rows, flights, checksum."""
    run = seen.value(name, because)
    if run["state"] != "success":
        bad = [task for task, (state, _) in sorted(run["tasks"].items()) if state in ("failed", "upstream_failed")]
        wrong(seen=f"the run {name} ended as {run['state']}, not done: {', '.join(bad[:3])}", because=because)
    rows = seen.table(f"{name}-published", because)
    return {
        (row.layer, row.origin, row.carrier): (row.rows, row.flights, row.hash) for row in rows.itertuples(index=False)
    }


@check("old")
def old(seen: Evidence, v: Variant) -> None:
    """Want the chunks that the thresholds leave, with the flights that pandas finds."""
    because = "a document without the key is one of today's"
    if (version := seen.value("read")["no key"])["version"] != "current":
        wrong(seen=f"a document without the key is refused: {version['why']}", because=because)
    flights, day = expected(), v.hidden["day"]
    wanted = flights.flights(day, day)
    sizes = wanted.groupby(["origin", "carrier"])["flight"].transform("size")
    above = {v.hidden["airport"]: v.hidden["above"], v.hidden["elsewhere"]: v.hidden["above_elsewhere"]}
    wanted = wanted[sizes > wanted["origin"].map(above).fillna(len(wanted))]
    assert len(wanted) > 1
    found = published(seen, "before", because)
    due = {(airport, carrier) for airport, carrier in zip(wanted["origin"], wanted["carrier"], strict=True)}
    if {key[1:] for key in found} != due:
        wrong(seen=f"{len(found)} chunks are published", because=because, expected=sorted(due))
    try:
        flights.assert_equal(seen.table("flights"), wanted, flights.FLIGHT_KEY)
    except AssertionError as error:
        wrong(seen="chunk_flights has other rows than before", because=because, expected=str(error)[:2000])


@check("published")
def left_out(seen: Evidence, v: Variant) -> None:
    """Want no row of the carrier."""
    because = "an earlier run had published them, and the run with the key was to leave none"
    for (layer, airport, carrier), (rows, *_) in published(seen, "without", because).items():
        if (airport, carrier) == (v.hidden["airport"], v.hidden["carrier"]):
            wrong(seen=f"chunk_{layer} still has {rows} rows of {carrier} in {airport}", because=because)


def compare(before: dict, after: dict, because: str) -> None:
    """Convict where a chunk is not what it was."""
    for key in sorted(set(before) | set(after)):
        if before.get(key) != after.get(key):
            layer, airport, carrier = key
            state = "is gone" if key not in after else "is new" if key not in before else "has other contents"
            wrong(seen=f"{carrier} in {airport} of chunk_{layer} {state}", because=because)


def chunks_of(found: dict, airport: str) -> dict:
    """Choose the chunks of one airport."""
    return {key: value for key, value in found.items() if key[1] == airport}


@check("asked")
def asked(seen: Evidence, v: Variant) -> None:
    """Want the airport that the run was not asked for as it was."""
    because = "the run was asked for one airport; what is published of the others stays"
    before, after = (published(seen, name, because) for name in ("before", "without"))
    compare(chunks_of(before, v.hidden["elsewhere"]), chunks_of(after, v.hidden["elsewhere"]), because)


@check("others")
def others(seen: Evidence, v: Variant) -> None:
    """Want all other carriers of the airport as they were."""
    because = "one carrier is left out, and nothing else changes"
    before, after = (chunks_of(published(seen, name, because), v.hidden["airport"]) for name in ("before", "without"))
    assert len(before) > 2
    compare({key: value for key, value in before.items() if key[2] != v.hidden["carrier"]}, after, because)


@check("back")
def back(seen: Evidence, v: Variant) -> None:
    """Want everything as it was at first."""
    because = "the document is the first one again, and so are the tables"
    compare(published(seen, "before", because), published(seen, "back", because), because)


@check("refused")
def refused(seen: Evidence, v: Variant) -> None:
    """Want the right lists in force, and the last good document beside the wrong ones."""
    for name, found in seen.value("read").items():
        if name in RIGHT and found["version"] != "current":
            wrong(seen=f"{name}: refused with {found['why']}", because="it is a list of codes like those of `carriers`")
        if name not in RIGHT and found["version"] == "current":
            wrong(seen=f"{name}: accepted", because="the list can mean nothing, and would leave out nobody, silently")
        if name not in RIGHT and "without_carriers" not in found["why"]:
            wrong(seen=f"{name}: refused with {found['why']}", because="the message is to name the key that is wrong")


@check("schema")
def schema(seen: Evidence, v: Variant) -> None:
    """Want the schema's verdict to be the model's."""
    because = "editors and people are told by config.schema.json what the run will accept"
    for name, accepted in seen.value("schema", because).items():
        if name != BOTH and accepted != (name in RIGHT):
            wrong(seen=f"{name}: the schema {'accepts' if accepted else 'refuses'} it; a run does not", because=because)
