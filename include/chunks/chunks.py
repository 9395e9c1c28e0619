"""Plans the chunks of a day, one carrier's flights from one airport each, chooses a path for each, and sums them up."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.files import write_atomically
from include.flights import warehouse

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

log = logging.getLogger(__name__)

PATHS = ("skip", "light", "spark")


def plan_chunks(
    document: Mapping[str, Any], airport: str, counts: Mapping[str, int], spark_from_rows: int | None = None
) -> dict[str, Any]:
    """Plan what a run does with one airport: its chunks, largest first, and what the document says about them.

    :param document: the configuration in force, as JSON
    :param counts: flights of the day from this airport, per carrier
    :param spark_from_rows: for one run, in place of the document's; what would be skipped still is
    :returns: {"chunks": [{"carrier": "UA", "rows": 141}, ...], none where the document leaves the airport out,
        "thresholds": {"skip_up_to_rows", "spark_from_rows"}, "layers": [...]}
    """
    from include.chunks.config import Config

    config = Config.model_validate(document)
    carriers = (config.carriers or sorted(counts)) if airport in config.airports else []
    chunks: list[dict[str, Any]] = [{"carrier": carrier, "rows": counts.get(carrier, 0)} for carrier in carriers]
    thresholds = config.thresholds_of(airport).model_dump()
    if spark_from_rows is not None:
        thresholds["spark_from_rows"] = spark_from_rows
    layers = [str(layer) for layer in config.layers]
    return {"chunks": sorted(chunks, key=lambda each: -each["rows"]), "thresholds": thresholds, "layers": layers}


def path_of(rows: int, thresholds: Mapping[str, int]) -> str:
    """Choose the path that a chunk of so many rows takes, one of PATHS."""
    if rows <= thresholds["skip_up_to_rows"]:
        return "skip"
    return "spark" if rows >= thresholds["spark_from_rows"] else "light"


def group_by_path(planned: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Group the chunks of a plan by the path that each takes: {"skip": [...], "light": [...], "spark": [...]}."""
    taken: dict[str, list[Mapping[str, Any]]] = {path: [] for path in PATHS}
    for chunk in planned["chunks"]:
        taken[path_of(chunk["rows"], planned["thresholds"])].append(chunk)
    return taken


def reconcile_with_plan(
    client: Client, airport: str, day: str, planned: Mapping[str, Any], published: str
) -> dict[str, int]:
    """Leave of one airport's day exactly what its plan says, and check that it is there.

    A carrier that fell below the threshold, an airport or a layer that was taken out of the document: an earlier run may
    have published them, and a rerun must not leave rows that nobody asked for any more.

    :param published: a query: what is published of the day, as rows (layer, origin, carrier, flights)
    :returns: {"chunks", "rows": published, "emptied": partitions that were stale}
    :raises ValidationError: listing what is missing
    """
    warehouse.create_tables(client, warehouse.CHUNKS)
    there = {
        (layer, carrier): flights
        for layer, origin, carrier, flights in client.query(published).result_rows
        if origin == airport
    }
    taken = group_by_path(planned)
    wanted = {each["carrier"]: each["rows"] for each in taken["light"] + taken["spark"]}
    due = {(layer, carrier): rows for layer in planned["layers"] for carrier, rows in wanted.items()}
    stale = sorted(set(there) - set(due))
    for layer, carrier in stale:
        partition = dict(zip(warehouse.CHUNKS.partition, (day, airport, carrier), strict=True))
        warehouse.drop_partition(client, f"warehouse.{warehouse.CHUNKS.prefix}{layer}", partition)
        log.info("emptied %s, %s, %s of chunk_%s: not asked for any more", day, airport, carrier, layer)
    wrong = [f"{key}: {there.get(key, 0)} flights for {rows}" for key, rows in due.items() if there.get(key, 0) != rows]
    if wrong:
        raise warehouse.ValidationError(f"{airport}, {day}: " + "; ".join(wrong))
    return {"chunks": len(wanted), "rows": sum(wanted.values()), "emptied": len(stale)}


def summarise_run(
    config: Mapping[str, Any], settled: Sequence[Mapping[str, Any] | None], file: Path | None, title: str
) -> dict[str, Any]:
    """Sum up what a run did, log it and write it to `file`, if any.

    :param config: what `choose_version` returned
    :param settled: the counts of each airport; None for one that the run was not asked for
    :returns: {"airports", counts over them, "config": the version that was in force, and why}
    """
    done = [each for each in settled if each]
    names = (*PATHS, "chunks", "rows", "emptied")
    totals = {name: sum(each.get(name, 0) for each in done) for name in names}
    version = {name: config[name] for name in ("version", "digest", "url", "why")}
    result = {"title": title, "airports": [each["airport"] for each in done], **totals, "config": version}
    if file:
        write_atomically(file, json.dumps(result, indent=2) + "\n")
    log.info(
        "%s: %s; %s rows in %s chunks published (%s skipped, %s light, %s Spark), %s stale partitions emptied; "
        "configuration %s (%s)",
        *(title, ", ".join(result["airports"])),
        *(totals[name] for name in ("rows", "chunks", *PATHS, "emptied")),
        *(version["digest"], version["version"]),
    )
    return result
