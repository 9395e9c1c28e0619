"""Judges conditions on assets, as facts.py writes them down: "time", ["any" | "all", ...] or ["asset", name, uri]."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


def met(condition: Any, updated: Callable[[str | None, str | None], bool], time: bool) -> bool:
    """Tell whether a condition on assets can be met, given which of them can be updated."""
    if condition == "time":
        return time
    if condition[0] == "asset":
        return updated(condition[1], condition[2])
    return (all if condition[0] == "all" else any)(met(each, updated, time) for each in condition[1:])


def assets(condition: Any) -> Iterator[tuple[str | None, str | None]]:
    """Give the assets of a condition: (name, uri)."""
    if condition != "time":
        if condition[0] == "asset":
            yield condition[1], condition[2]
        else:
            for each in condition[1:]:
                yield from assets(each)


def updates(
    made: dict[str, set[tuple[str, str | None]]], by: Iterable[str]
) -> Callable[[str | None, str | None], bool]:
    """Return what tells whether runs of some DAGs update an asset.

    :param made: DAG -> the assets that each of its runs updates
    :param by: the DAGs
    """
    keys = {key for dag_id in by for key in made[dag_id]}
    names, uris = {name for name, _ in keys}, {uri for _, uri in keys if uri}
    return lambda name, uri: name in names or uri in uris
