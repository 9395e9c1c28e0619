"""Finds a cycle with the standard library alone: parsers do not have to import a graph library."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter


def find_cycle(edges: Mapping[str, set[str]]) -> list[str]:
    """Return the nodes of a cycle in the direction of its edges, the first one again at the end; empty when there is none.

    :param edges: node -> the nodes that it leads to
    """
    try:
        TopologicalSorter({node: sorted(edges[node]) for node in sorted(edges)}).prepare()
    except CycleError as error:
        # The sorter takes what a node leads to for what comes before it, and prints a cycle in that direction.
        cycle: list[str] = error.args[1]
        return cycle if cycle[1] in edges.get(cycle[0], ()) else cycle[::-1]
    return []
