"""What only shows when all DAGs are seen together: duplicates, unknown references, DAGs that wait for or start each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatch
from functools import cached_property
from typing import Any, NamedTuple

from dag_integrity.findings import Finding
from dag_integrity.schedules import never_meet

ANY_OF = {"one_success", "one_done", "one_failed"}


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
        """Every task upstream of one, near or far."""
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
        """Whether a run can succeed without the task: it is mapped, or a branch lies above it."""
        return any(self.tasks[each].get("maybe") for each in (task, *self.above(task)))

    def waits(self, task: str) -> bool:
        """Whether the task is a sensor or comes after one, so that something outside sets the pace."""
        return any(self.tasks[each].get("sensor") for each in (task, *self.above(task)))

    @cached_property
    def conditional(self) -> set[str]:
        """The tasks that are not part of every run, or not at once."""
        return {task for task in self.tasks if self.may_be_left_out(task) or self.waits(task)}

    @property
    def linked(self) -> bool:
        """Whether it refers to anything outside of itself."""
        return bool(self.sensors or self.triggers or self.outlets or is_asset(self.start))

    def finding(self, rule: str, line: int, text: str) -> Finding:
        """A finding of this DAG."""
        return Finding(self.file, line, rule, text, self.id, self.line)


class Kind(Enum):
    """What happens at a node of the graph."""

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
        """For reports that do not depend on the order of files."""
        return self.dag, self.task, self.kind.value


class Step(NamedTuple):
    """Why one thing waits for another, in words, and where that is written."""

    text: str
    dag: Dag
    line: int


def compare(
    parsed: Iterable[tuple[str, dict[str, Any]]],
    known_dags: list[str],
    complete: bool,
    made: Iterable[tuple[str, dict[str, Any]]] = (),
) -> Iterator[Finding]:
    """The findings across DAGs.

    :param parsed: (file, facts of one DAG)
    :param known_dags: patterns of ids that are defined elsewhere
    :param complete: whether all DAGs are known, so that a reference to another one is wrong
    :param made: (file, what lost.Made says of it)
    """
    dags: dict[str, Dag] = {}
    for file, about in sorted(parsed, key=lambda each: (each[0], each[1]["line"])):
        dag = Dag(file, **about)
        if (first := dags.setdefault(dag.id, dag)) is not dag:
            where = f"{first.file}, line {first.line}," if first.file != file else f"line {first.line}"
            yield dag.finding("AA106", dag.line, f"{where} defines it too")
    yield from _lost(dags, list(made))
    yield from _unknown(dags, known_dags, complete)
    yield from _never_met(dags)
    linked = {id_: dag for id_, dag in dags.items() if dag.linked}
    for each in list(linked.values()):  # and what they refer to
        linked |= {ref["dag"]: dags[ref["dag"]] for ref in (*each.sensors, *each.triggers) if ref["dag"] in dags}
    if any(dag.sensors or dag.triggers or is_asset(dag.start) for dag in linked.values()):
        yield from Graph(linked).cycles()


def is_asset(start: Any) -> bool:
    """Whether assets start the DAG."""
    return isinstance(start, list)


def _lost(dags: dict[str, Dag], made: list[tuple[str, dict[str, Any]]]) -> Iterator[Finding]:
    """DAGs that no file shows to Airflow, also not another one that imports them."""
    called = {(file, line) for _, about in made for file, line in about.get("called", ())}
    for file, about in made:
        for line, id_ in about.get("lost", ()):
            if id_ not in dags:
                text = f"the DAG {id_!r} is made here and dropped: no name of the module holds it in the end"
                yield Finding(file, line, "AA107", text)
        for line, name in about.get("functions", ()):
            if (file, line) not in called:
                yield Finding(file, line, "AA107", f"the @dag function {name} is never called: there is no such DAG")


def _unknown(dags: dict[str, Dag], known: list[str], complete: bool) -> Iterator[Finding]:
    for dag in dags.values():
        for kind, references in (("sensor", dag.sensors), ("trigger", dag.triggers)):
            for ref in references:
                if ref["dag"] in dags:
                    yield from _unknown_tasks(dag, ref, dags[ref["dag"]])
                elif ref["dag"] and complete and not any(fnmatch(ref["dag"], pattern) for pattern in known):
                    text = f"the {kind} {ref['task']} refers to the DAG {ref['dag']!r}, which is not there"
                    yield dag.finding("AA204", ref["line"], text)


def _unknown_tasks(dag: Dag, ref: dict[str, Any], other: Dag) -> Iterator[Finding]:
    for task in ref.get("tasks", ()):
        if task not in other.tasks:
            text = f"the sensor {ref['task']} waits for {other.id}.{task}: the DAG has no such task"
            yield dag.finding("AA205", ref["line"], text)
    if (group := ref.get("group")) and group not in other.groups:
        text = f"the sensor {ref['task']} waits for the group {group!r}, which {other.id} does not have"
        yield dag.finding("AA205", ref["line"], text)


def _never_met(dags: dict[str, Dag]) -> Iterator[Finding]:
    """Sensors that look for a date at which the other DAG never has a run."""
    triggered = {ref["dag"] for dag in dags.values() for ref in dag.triggers}
    unknown = any(ref["dag"] is None for dag in dags.values() for ref in dag.triggers)
    for dag in dags.values():
        for ref in dag.sensors:
            other = dags.get(ref["dag"] or "")
            if other is None or other.id in triggered or unknown or not misses(dag, ref, other):
                continue
            if not other.dates:
                why = "assets start it, so that its runs have no logical date"
            else:
                late = f"{ref['delta'] / 60:g} minutes before its own" if ref["delta"] else "of its own"
                why = f"it looks for the date {late}, and the two schedules never meet there"
            yield dag.finding("AA209", ref["line"], f"the sensor {ref['task']} waits in vain for {other.id}: {why}")


def misses(dag: Dag, ref: dict[str, Any], other: Dag) -> bool:
    """Whether a sensor certainly looks for a date that the other DAG never has: False where anything is not known."""
    if not dag.dates or other.dates is None:
        return False
    if not other.dates:
        return other.start != "none"
    return ref["delta"] is not None and never_meet(dag.dates, ref["delta"], other.dates)


def _met(condition: Any, updated: Callable[[str | None, str | None], bool], time: bool) -> bool:
    """Whether a condition on assets can be met, given which of them can be updated."""
    if condition == "time":
        return time
    if condition[0] == "asset":
        return updated(condition[1], condition[2])
    return (all if condition[0] == "all" else any)(_met(each, updated, time) for each in condition[1:])


def _assets(condition: Any) -> Iterator[tuple[str | None, str | None]]:
    if condition != "time":
        if condition[0] == "asset":
            yield condition[1], condition[2]
        else:
            for each in condition[1:]:
                yield from _assets(each)


class Graph:
    """What has to happen before what, across DAGs. Each rule about cycles is a method.

    Only edges that are sure are in it: what depends on anything unknown (a date that a function computes, a DAG that is not
    there, a template) counts as possible, so that no cycle is reported that is none.
    """

    def __init__(self, dags: dict[str, Dag]) -> None:
        self.dags = dags
        self._triggered_by: dict[str, list[tuple[Dag, dict[str, Any]]]] = defaultdict(list)
        self._makers: dict[tuple[str, str | None], list[Node]] = defaultdict(list)
        self._waits: dict[tuple[str, str], list[Node]] = defaultdict(list)
        self._label: dict[tuple[Node, Node], Step] = {}
        self._aliases = any(outlet["alias"] for dag in dags.values() for outlet in dag.outlets)
        for dag in dags.values():
            for ref in dag.triggers:
                self._add_trigger(dag, ref)
            for ref in dag.sensors:
                self._add_sensor(dag, ref)
            for outlet in dag.outlets:
                self._makers[outlet["name"], outlet["uri"]].append(Node(Kind.END, dag.id, outlet["task"]))

    def cycles(self) -> Iterator[Finding]:
        """AA202 for what is certain; AA203 for what depends on a branch, unless the same DAGs are certain to go round."""
        certain = list(self.deadlocks(lenient=True)) + list(self.loops(lenient=False))
        yield from certain
        seen = {_names(finding) for finding in certain}
        for finding in (*self.deadlocks(lenient=False), *self.loops(lenient=True)):
            if _names(finding) not in seen:
                seen.add(_names(finding))
                yield finding

    def deadlocks(self, lenient: bool) -> Iterator[Finding]:
        """Tasks that can never end, because what they wait for waits for them.

        Computed from the other side: everything that can happen, until nothing is added. Of the rest, the cycles are reported.

        :param lenient: what a branch may leave out counts as done
        """
        blocked = self._blocked(lenient)
        if not blocked:
            return

        import networkx

        graph: networkx.DiGraph[Node] = networkx.DiGraph()
        for node in blocked:
            graph.add_edges_from((node, needed) for needed in self._needs(node) if needed in blocked)
        for part in networkx.strongly_connected_components(graph):
            edges = _shortest_cycle(graph.subgraph(part), key=lambda node: node.order)
            # Without one that waits, a run started by hand ends it; whether it ends again is for loops().
            if any(needed in self._waits.get((node.dag, node.task), ()) for node, needed in edges):
                steps = [self._label[edge] for edge in reversed(edges) if edge in self._label]
                names = [needed.dag for _, needed in reversed(edges)]
                yield _finding("AA202" if lenient else "AA203", names, steps, "they wait for each other")

    def loops(self, lenient: bool) -> Iterator[Finding]:
        """DAGs that start each other without end: runs beget runs, with nothing from outside.

        :param lenient: also through tasks behind a branch or a sensor, and triggers with an id or date of their own
        """
        starts = self._sure_starts(lenient)
        if not lenient:
            yield from self._self_triggers()
        made = self._sure_updates(lenient)
        alive = self._self_sustaining(set(starts), made)
        if not alive:
            return

        import networkx

        graph: networkx.DiGraph[str] = networkx.DiGraph()
        graph.add_edges_from(pair for pair in starts if set(pair) <= alive)
        for source, target, asset in self._asset_starts(alive, made):
            graph.add_edge(source, target)
            text = f"the asset {asset} of {source} starts {target}"
            starts.setdefault((source, target), Step(text, self.dags[source], self.dags[source].line))
        for part in networkx.strongly_connected_components(graph):
            if edges := _shortest_cycle(graph.subgraph(part), key=str):
                steps = [starts[edge] for edge in edges]
                names = [source for source, _ in edges]
                yield _finding("AA203" if lenient else "AA202", names, steps, "they start each other without end")

    def _add_trigger(self, dag: Dag, ref: dict[str, Any]) -> None:
        if ref["dag"] not in self.dags:
            return
        self._triggered_by[ref["dag"]].append((dag, ref))
        if ref["wait"] and ref["same_date"]:
            awaited = Node(Kind.END, ref["dag"])
            self._waits[dag.id, ref["task"]].append(awaited)
            text = f"{dag.id}.{ref['task']} triggers {ref['dag']} and waits for its end"
            self._label[Node(Kind.END, dag.id, ref["task"]), awaited] = Step(text, dag, ref["line"])

    def _add_sensor(self, dag: Dag, ref: dict[str, Any]) -> None:
        if ref["dag"] not in self.dags or ref["delta"] != 0 or not ref["waits_for_end"]:
            return
        other = self.dags[ref["dag"]]
        if misses(dag, ref, other):
            return
        tasks = ref["tasks"]
        if ref["whole"]:
            tasks = [""]
        elif ref["group"]:
            tasks = [task for task in other.tasks if task.startswith(f"{ref['group']}.")]
        for task in tasks:
            if task and task not in other.tasks:
                continue
            awaited = Node(Kind.END, other.id, task)
            self._waits[dag.id, ref["task"]].append(awaited)
            text = f"{dag.id}.{ref['task']} waits for {other.id}{'.' if task else ''}{task}"
            self._label[Node(Kind.END, dag.id, ref["task"]), awaited] = Step(text, dag, ref["line"])

    def _made_by(self, name: str | None, uri: str | None) -> list[Node]:
        return [
            node for (n, u), nodes in self._makers.items() for node in nodes
            if (name is not None and n == name) or (uri is not None and u == uri)
        ]  # fmt: skip

    def _blocked(self, lenient: bool) -> set[Node]:
        """What can never happen."""
        todo: list[Node] = []
        for dag in self.dags.values():
            todo.append(Node(Kind.RUN, dag.id))
            todo += [Node(kind, dag.id, task) for task in dag.tasks for kind in (Kind.START, Kind.END)]
            todo.append(Node(Kind.END, dag.id))
        done: set[Node] = set()
        possible = {Kind.RUN: self._can_run, Kind.START: self._can_start, Kind.END: self._can_end}
        while True:
            left = []
            for node in todo:
                if possible[node.kind](node, done, lenient):
                    done.add(node)
                else:
                    left.append(node)
            if len(left) == len(todo):
                return set(left)
            todo = left

    def _can_run(self, node: Node, done: set[Node], lenient: bool) -> bool:
        dag, triggers = self.dags[node.dag], self._triggered_by[node.dag]
        if any(Node(Kind.START, other.id, ref["task"]) in done for other, ref in triggers):
            return True
        if dag.start == "none":
            return not triggers
        if dag.start == "time" or self._aliases:
            return True

        def updated(name: str | None, uri: str | None) -> bool:
            makers = self._made_by(name, uri)
            return not makers or any(each in done for each in makers)

        return _met(dag.start, updated, time=True)

    def _can_start(self, node: Node, done: set[Node], lenient: bool) -> bool:
        if Node(Kind.RUN, node.dag) not in done:
            return False
        dag = self.dags[node.dag]
        above = [Node(Kind.END, node.dag, each) in done for each in dag.tasks[node.task]["up"] if each in dag.tasks]
        rule = dag.tasks[node.task]["rule"]
        return not above or rule == "always" or (any if rule in ANY_OF else all)(above)

    def _can_end(self, node: Node, done: set[Node], lenient: bool) -> bool:
        dag, begun = self.dags[node.dag], Node(Kind.RUN, node.dag) in done
        if not node.task:
            return begun and all(Node(Kind.END, node.dag, each) in done for each in dag.tasks)
        if begun and lenient and dag.may_be_left_out(node.task):
            return True
        started = Node(Kind.START, node.dag, node.task) in done
        return started and all(each in done for each in self._waits[node.dag, node.task])

    def _needs(self, node: Node) -> Iterator[Node]:
        """What has to happen before."""
        dag = self.dags[node.dag]
        if node.kind is Kind.RUN:
            yield from self._starters(node, dag)
        elif node.kind is Kind.START:
            yield Node(Kind.RUN, node.dag)
            yield from (Node(Kind.END, node.dag, each) for each in dag.tasks[node.task]["up"])
        elif node.task:
            yield Node(Kind.START, node.dag, node.task)
            yield from self._waits[node.dag, node.task]
        else:
            yield from (Node(Kind.END, node.dag, each) for each in dag.tasks)

    def _starters(self, node: Node, dag: Dag) -> Iterator[Node]:
        for other, ref in self._triggered_by[node.dag]:
            needed = Node(Kind.START, other.id, ref["task"])
            self._label[node, needed] = Step(f"{other.id}.{ref['task']} triggers {node.dag}", other, ref["line"])
            yield needed
        for name, uri in _assets(dag.start) if is_asset(dag.start) else ():
            for needed in self._made_by(name, uri):
                text = f"the asset {name or uri} of {needed.dag}.{needed.task} starts {node.dag}"
                self._label[node, needed] = Step(text, self.dags[needed.dag], self.dags[needed.dag].line)
                yield needed

    def _self_triggers(self) -> Iterator[Finding]:
        for dag in self.dags.values():
            for ref in dag.triggers:
                if ref["dag"] == dag.id and not ref["once"] and ref["task"] not in dag.conditional:
                    yield dag.finding("AA207", ref["line"], f"{ref['task']} triggers its own DAG")

    def _sure_starts(self, lenient: bool) -> dict[tuple[str, str], Step]:
        """(DAG, DAG that it triggers)."""
        return {
            (dag.id, ref["dag"]): Step(f"{dag.id}.{ref['task']} triggers {ref['dag']}", dag, ref["line"])
            for dag in self.dags.values()
            for ref in dag.triggers
            if ref["dag"] in self.dags
            and ref["dag"] != dag.id
            and (lenient or not (ref["once"] or ref["task"] in dag.conditional))
        }

    def _sure_updates(self, lenient: bool) -> dict[str, set[tuple[str, str | None]]]:
        """The assets that each run of a DAG updates."""
        return {
            dag.id: {
                (outlet["name"], outlet["uri"]) for outlet in dag.outlets
                if not outlet["alias"] and (lenient or outlet["task"] not in dag.conditional)
            }
            for dag in self.dags.values()
        }  # fmt: skip

    def _self_sustaining(self, starts: set[tuple[str, str]], made: dict[str, set[tuple[str, str | None]]]) -> set[str]:
        """The DAGs whose runs are started by runs of one another, for ever."""
        alive = set(self.dags)
        while True:
            updated = _updates(made, alive)
            keep = {
                id_ for id_ in alive
                if any(source in alive for source, target in starts if target == id_)
                or (is_asset(self.dags[id_].start) and _met(self.dags[id_].start, updated, time=False))
            }  # fmt: skip
            if keep == alive:
                return alive
            alive = keep

    def _asset_starts(
        self, alive: set[str], made: dict[str, set[tuple[str, str | None]]]
    ) -> Iterator[tuple[str, str, str | None]]:
        for target in sorted(alive):
            for name, uri in _assets(self.dags[target].start) if is_asset(self.dags[target].start) else ():
                for source in sorted(alive):
                    if _updates(made, [source])(name, uri):
                        yield source, target, name or uri


def _updates(
    made: dict[str, set[tuple[str, str | None]]], by: Iterable[str]
) -> Callable[[str | None, str | None], bool]:
    keys = {key for dag_id in by for key in made[dag_id]}
    names, uris = {name for name, _ in keys}, {uri for _, uri in keys if uri}
    return lambda name, uri: name in names or uri in uris


def _shortest_cycle(graph: Any, key: Callable[[Any], Any]) -> list[tuple[Any, Any]]:
    import networkx

    best: list[Any] = []
    for node in sorted(graph, key=key):
        for above in sorted(graph.predecessors(node), key=key):
            path = [node] if above == node else networkx.shortest_path(graph, node, above)
            if not best or len(path) < len(best):
                best = path
        if best and len(graph) > 200:
            break
    return [(a, b) for a, b in zip(best, [*best[1:], *best[:1]], strict=True)] if best else []


def _names(finding: Finding) -> frozenset[str]:
    """The DAGs of a cycle."""
    return frozenset(finding.message.split(": ")[0].split(" -> "))


def _finding(rule: str, names: list[str], steps: list[Step], what: str) -> Finding:
    """Starts at the DAG that comes first in the alphabet, so that the report does not depend on the order of files."""
    order = list(dict.fromkeys(names))
    first = order.index(min(order))
    order = [*order[first:], *order[:first]]
    start = min(steps, key=lambda step: (step.dag.id != order[0], step.dag.id, step.line))
    path = " -> ".join([*order, order[0]])
    return start.dag.finding(rule, start.line, f"{path}: {what}: {'; '.join(step.text for step in steps)}")
