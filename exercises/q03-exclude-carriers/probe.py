"""Runs q03_partitions with a document, with a carrier left out, and without the key again; reads documents right and wrong."""

import json
from pathlib import Path

from answers.exercise.probe import Probe

DAG = "q03_partitions"
PUBLISHED = """
SELECT layer, origin, carrier, count() AS rows, sum(flights) AS flights, hex(sum(hash)) AS hash
FROM
(
    SELECT 'flights' AS layer, origin, carrier, 1 AS flights, cityHash64(toString(tuple(*))) AS hash FROM warehouse.chunk_flights
    UNION ALL
    SELECT 'daily_delays', origin, carrier, flights, cityHash64(toString(tuple(*))) FROM warehouse.chunk_daily_delays
)
GROUP BY layer, origin, carrier
"""


def probe(p: Probe) -> None:
    """Record which documents are accepted, and what each run leaves in the tables."""
    day, carrier, airport, elsewhere = (p.hidden[name] for name in ("day", "carrier", "airport", "elsewhere"))
    rows = {"skip_up_to_rows": p.hidden["above"], "spark_from_rows": 100_000}
    there = {"skip_up_to_rows": p.hidden["above_elsewhere"], "spark_from_rows": 100_000}
    document = {
        "version": 1,
        "airports": [airport, elsewhere],
        "thresholds": rows,
        "overrides": {elsewhere: there},
        "layers": ["flights", "daily_delays"],
    }
    lists = samples(carrier, p.hidden["other"])
    p.inside("read", read, document, lists, str(p.home))
    p.inside("schema", by_schema, document, lists, str(p.project))
    file = p.home / "shape.json"
    p.variable("q03_config", file.as_uri())
    p.variable("flights_feed", str(p.feed("feed", day)))
    runs = (
        ("before", {}, [airport, elsewhere]),
        ("without", {"without_carriers": [carrier]}, [airport]),
        ("back", {}, [airport]),
    )
    for name, more, airports in runs:
        file.write_text(json.dumps(document | more))
        p.run(name, DAG, day, {"airports": airports})
        p.sql(f"{name}-published", PUBLISHED)
        if name == "before":
            p.sql("flights", "SELECT * FROM warehouse.chunk_flights")


def samples(carrier: str, other: str) -> dict[str, dict]:
    """Name documents by what is in their lists."""
    return {
        "no key": {},
        "one code": {"without_carriers": [carrier]},
        "two codes": {"without_carriers": [carrier, other]},
        "a code beside carriers": {"carriers": [other], "without_carriers": [carrier]},
        "lower case": {"without_carriers": [carrier.lower()]},
        "twice": {"without_carriers": [carrier, carrier]},
        "a number": {"without_carriers": [7]},
        "a text": {"without_carriers": carrier},
        "an empty code": {"without_carriers": [""]},
        "both lists": {"carriers": [carrier, other], "without_carriers": [carrier]},
    }


def read(document: dict, lists: dict, home: str) -> dict:
    """Read each document as a run does, with a good one kept: which version is in force, and why."""
    from include.chunks.document import choose_version

    file, found = Path(home, "sample.json"), {}
    for name, more in lists.items():
        file.write_text(json.dumps(document))
        choose_version(file, Path(home, "kept"))
        file.write_text(json.dumps(document | more))
        found[name] = {key: choose_version(file, Path(home, "kept"))[key] for key in ("version", "why")}
    return found


def by_schema(document: dict, lists: dict, project: str) -> dict[str, bool]:
    """Tell which documents the JSON Schema accepts."""
    import jsonschema

    schema = json.loads(Path(project, "include/chunks/config.schema.json").read_text())
    return {name: jsonschema.Draft202012Validator(schema).is_valid(document | more) for name, more in lists.items()}
