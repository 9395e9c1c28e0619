"""Describes DAGs as across.py and references.py compare them, and the nodes of the graph between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

from dag_integrity.findings import Finding
from dag_integrity.schedules import never_meet


@dataclass
class Dag:
    """A DAG as inspection.facts describes it."""

    file: str
    id: str
    line: int
    start: Any
    dates: list[Any] | None
    tasks: dict[str, dict[str, Any]]
    groups: list[str]
    sensors: list[dict[str, Any]]
    triggers: list[dict[str, Any]]
    outlets: list[dict[str, Any]]
    _above: dict[str, set[str]] = field(default_factory=dict)

    def above(self, task: str) -> set[str]:
        """Return every task upstream of one, near or far."""
        if task not in self._above:
            found: set[str] = set()
            todo = list(self.tasks[task]["up"])
            while todo:
                if (each := todo.pop()) not in found and each in self.tasks:
                    found.add(each)
                    todo += self.tasks[each]["up"]
            self._above[task] = found
        return self._above[task]

    def may_be_left_out(self, task: str) -> bool:
        """Tell whether a run can succeed without the task: it is mapped, or a branch lies above it."""
        return any(self.tasks[each].get("maybe") for each in (task, *self.above(task)))

    def waits(self, task: str) -> bool:
        """Tell whether the task is a sensor or comes after one, so that something outside sets the pace."""
        return any(self.tasks[each].get("sensor") for each in (task, *self.above(task)))

    @cached_property
    def conditional(self) -> set[str]:
        """Return the tasks that are not part of every run, or not at once."""
        return {task for task in self.tasks if self.may_be_left_out(task) or self.waits(task)}

    @property
    def linked(self) -> bool:
        """Tell whether it refers to anything outside of itself."""
        return bool(self.sensors or self.triggers or self.outlets or is_asset(self.start))

    def finding(self, rule: str, line: int, text: str) -> Finding:
        """Return a finding of this DAG."""
        return Finding(self.file, line, rule, text, self.id, self.line)


class Kind(Enum):
    """Holds what happens at a node of the graph."""

    RUN = "run"
    START = "start"
    END = "end"


class Node(NamedTuple):
    """Something that happens in each round: a run of a DAG begins, a task starts or ends; without a task, the run ends."""

    kind: Kind
    dag: str
    task: str = ""

    @property
    def order(self) -> tuple[str, str, str]:
        """Return a sort key: reports do not depend on the order of files."""
        return self.dag, self.task, self.kind.value


class Step(NamedTuple):
    """Tells why one thing waits for another, in words, and where that is written."""

    text: str
    dag: Dag
    line: int


class Rounds:
    """Tells which runs of different DAGs belong together: those that sensors lead to from one another.

    A DAG at 02:00 that waits an hour back and one at 01:00 that waits an hour ahead wait for each other. One that waits for
    yesterday does not. Each DAG gets a time; a sensor stays within the round where its delta is the difference of the two. The
    smallest deltas are taken first, and what contradicts them leads to another round.
    """

    def __init__(self, dags: dict[str, Dag]) -> None:
        self._parent: dict[str, tuple[str, float]] = {}
        edges = [
            (abs(ref["delta"]), dag.id, ref["dag"], ref["delta"])
            for dag in dags.values() for ref in dag.sensors if ref["dag"] in dags and ref["delta"] is not None
        ]  # fmt: skip
        edges += [(0.0, dag.id, ref["dag"], 0.0) for dag in dags.values() for ref in dag.triggers if ref["dag"] in dags]
        for _, one, other, delta in sorted(edges):
            (root, time), (other_root, other_time) = self._find(one), self._find(other)
            if root != other_root:
                self._parent[other_root] = (root, time - delta - other_time)

    def has(self, one: str, other: str, delta: float | None) -> bool:
        """Tell whether the run that lies `delta` seconds before one of the first DAG is of the same round."""
        (root, time), (other_root, other_time) = self._find(one), self._find(other)
        return delta is not None and root == other_root and abs(time - delta - other_time) < 1

    def _find(self, id_: str) -> tuple[str, float]:
        time = 0.0
        while id_ in self._parent:
            id_, more = self._parent[id_]
            time += more
        return id_, time


def is_asset(start: Any) -> bool:
    """Tell whether assets start the DAG."""
    return isinstance(start, list)


def misses(dag: Dag, ref: dict[str, Any], other: Dag) -> bool:
    """Tell whether a sensor certainly looks for a date that the other DAG never has: False where anything is not known."""
    if dag.dates is None or other.dates is None or (not dag.dates and dag.start == "none"):
        return False
    if not dag.dates:
        return ref["delta"] is not None and bool(other.dates)
    if not other.dates:
        return other.start != "none"
    return ref["delta"] is not None and never_meet(dag.dates, ref["delta"], other.dates)
