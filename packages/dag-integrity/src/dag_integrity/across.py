"""What only shows when all DAGs are seen together: duplicates, unknown references, DAGs that wait for or start each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from typing import Any

from dag_integrity.findings import Finding

ANY_OF = {"one_success", "one_done", "one_failed"}
Node = tuple[str, str, str]  # ("run" | "start" | "end", DAG, task or "")


@dataclass
class Dag:
    """A DAG as inspection.facts describes it."""

    file: str
    id: str
    line: int
    start: Any
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


def compare(parsed: Iterable[tuple[str, dict[str, Any]]], known_dags: list[str], complete: bool) -> Iterator[Finding]:
    """The findings across DAGs.

    :param parsed: (file, facts of one DAG)
    :param known_dags: patterns of ids that are defined elsewhere
    :param complete: whether all DAGs are known, so that a reference to another one is wrong
    """
    dags: dict[str, Dag] = {}
    for file, about in sorted(parsed, key=lambda each: (each[0], each[1]["line"])):
        dag = Dag(file, **about)
        if dag.id not in dags:
            dags[dag.id] = dag
        elif dags[dag.id].file != file:
            other = dags[dag.id]
            yield Finding(file, dag.line, "AA106", f"{other.file}, line {other.line}, defines it too", dag.id, dag.line)
        else:
            yield Finding(file, dag.line, "AA106", f"line {dags[dag.id].line} defines it too", dag.id, dag.line)
    yield from _unknown(dags, known_dags, complete)
    linked = {
        id_: dag for id_, dag in dags.items() if dag.sensors or dag.triggers or dag.outlets or _is_asset(dag.start)
    }
    for each in list(linked.values()):  # and what they refer to
        linked |= {ref["dag"]: dags[ref["dag"]] for ref in (*each.sensors, *each.triggers) if ref["dag"] in dags}
    if any(dag.sensors or dag.triggers or _is_asset(dag.start) for dag in linked.values()):
        certain = list(_deadlocks(linked, lenient=True)) + list(_loops(linked, lenient=False))
        yield from certain
        seen = {frozenset(str(finding.message).split(": ")[0].split(" -> ")) for finding in certain}
        for finding in [*_deadlocks(linked, lenient=False), *_loops(linked, lenient=True)]:
            names = frozenset(str(finding.message).split(": ")[0].split(" -> "))
            if names not in seen:
                seen.add(names)
                yield finding


def _is_asset(start: Any) -> bool:
    return isinstance(start, list)


def _unknown(dags: dict[str, Dag], known: list[str], complete: bool) -> Iterator[Finding]:
    for dag in dags.values():
        for kind, references in (("sensor", dag.sensors), ("trigger", dag.triggers)):
            for ref in references:
                if not ref["dag"]:
                    continue
                where = (dag.file, ref["line"])
                if ref["dag"] not in dags:
                    if complete and not any(fnmatch(ref["dag"], pattern) for pattern in known):
                        text = f"the {kind} {ref['task']} refers to the DAG {ref['dag']!r}, which is not there"
                        yield Finding(*where, "AA204", text, dag.id, dag.line)
                    continue
                other = dags[ref["dag"]]
                for task in ref.get("tasks", ()):
                    if task not in other.tasks:
                        text = f"the sensor {ref['task']} waits for {other.id}.{task}: the DAG has no such task"
                        yield Finding(*where, "AA205", text, dag.id, dag.line)
                if (group := ref.get("group")) and group not in other.groups:
                    text = f"the sensor {ref['task']} waits for the group {group!r}, which {other.id} does not have"
                    yield Finding(*where, "AA205", text, dag.id, dag.line)


def _met(condition: Any, updated: Callable[[str | None, str | None], bool], time: bool) -> bool:
    """Whether a condition on assets can be met, given which of them can be updated."""
    if condition == "time":
        return time
    if condition[0] == "asset":
        return updated(condition[1], condition[2])
    return (all if condition[0] == "all" else any)(_met(each, updated, time) for each in condition[1:])


def _deadlocks(dags: dict[str, Dag], lenient: bool) -> Iterator[Finding]:
    """Tasks that can never end, because what they wait for waits for them.

    Computed from the other side: everything that can happen, until nothing is added. What depends on anything unknown (a
    date that a function computes, a DAG that is not there, a template) counts as possible; with `lenient` also what a
    branch may leave out. Of the rest, the cycles are reported.
    """
    triggered_by: dict[str, list[tuple[Dag, dict[str, Any]]]] = defaultdict(list)
    makers: dict[tuple[str, str | None], list[Node]] = defaultdict(list)
    aliases = any(outlet["alias"] for dag in dags.values() for outlet in dag.outlets)
    waits: dict[tuple[str, str], list[Node]] = defaultdict(list)
    label: dict[tuple[Node, Node], tuple[str, Dag, int]] = {}
    for dag in dags.values():
        for ref in dag.triggers:
            if ref["dag"] in dags:
                triggered_by[ref["dag"]].append((dag, ref))
                if ref["wait"] and ref["same_date"]:
                    node = ("end", ref["dag"], "")
                    waits[dag.id, ref["task"]].append(node)
                    text = f"{dag.id}.{ref['task']} triggers {ref['dag']} and waits for its end"
                    label[("end", dag.id, ref["task"]), node] = (text, dag, ref["line"])
        for ref in dag.sensors:
            if ref["dag"] not in dags or not ref["same_date"]:
                continue
            other = dags[ref["dag"]]
            if ref["whole"]:
                wanted = [("end", other.id, "")]
            elif ref["group"]:
                wanted = [("end", other.id, task) for task in other.tasks if task.startswith(f"{ref['group']}.")]
            else:
                wanted = [("end", other.id, task) for task in ref["tasks"] if task in other.tasks]
            for node in wanted:
                waits[dag.id, ref["task"]].append(node)
                target = other.id if ref["whole"] else f"{other.id}.{node[2]}"
                label[("end", dag.id, ref["task"]), node] = (
                    f"{dag.id}.{ref['task']} waits for {target}",
                    dag,
                    ref["line"],
                )
        for outlet in dag.outlets:
            makers[outlet["name"], outlet["uri"]].append(("end", dag.id, outlet["task"]))

    def made_by(name: str | None, uri: str | None) -> list[Node]:
        return [
            node for (n, u), nodes in makers.items() for node in nodes
            if (name is not None and n == name) or (uri is not None and u == uri)
        ]  # fmt: skip

    done: set[Node] = set()

    def possible(node: Node) -> bool:
        what, dag_id, task = node
        dag = dags[dag_id]
        if what == "run":
            triggers = triggered_by[dag_id]
            if any(("start", other.id, ref["task"]) in done for other, ref in triggers):
                return True
            if dag.start == "none":
                return not triggers
            if dag.start == "time":
                return True
            return aliases or _met(
                dag.start, lambda n, u: not (m := made_by(n, u)) or any(x in done for x in m), time=True
            )
        if what == "start":
            if ("run", dag_id, "") not in done:
                return False
            above = [("end", dag_id, each) in done for each in dag.tasks[task]["up"] if each in dag.tasks]
            rule = dag.tasks[task]["rule"]
            return not above or rule == "always" or (any if rule in ANY_OF else all)(above)
        if task:
            if ("run", dag_id, "") in done and lenient and dag.may_be_left_out(task):
                return True
            return ("start", dag_id, task) in done and all(each in done for each in waits[dag_id, task])
        return ("run", dag_id, "") in done and all(("end", dag_id, each) in done for each in dag.tasks)

    nodes: list[Node] = []
    for dag in dags.values():
        nodes.append(("run", dag.id, ""))
        nodes += [(what, dag.id, task) for task in dag.tasks for what in ("start", "end")]
        nodes.append(("end", dag.id, ""))
    todo = nodes
    while True:
        left = []
        for node in todo:
            if possible(node):
                done.add(node)
            else:
                left.append(node)
        if len(left) == len(todo):
            break
        todo = left
    if not todo:
        return
    blocked = set(todo)

    import networkx

    graph: networkx.DiGraph[Node] = networkx.DiGraph()
    for node in blocked:
        what, dag_id, task = node
        dag = dags[dag_id]
        if what == "run":
            for other, ref in triggered_by[dag_id]:
                needed = ("start", other.id, ref["task"])
                label[node, needed] = (f"{other.id}.{ref['task']} triggers {dag_id}", other, ref["line"])
                graph.add_edge(node, needed)
            if _is_asset(dag.start):
                for name, uri in _assets(dag.start):
                    for needed in made_by(name, uri):
                        text = f"the asset {name or uri} of {needed[1]}.{needed[2]} starts {dag_id}"
                        label[node, needed] = (text, dags[needed[1]], dags[needed[1]].line)
                        graph.add_edge(node, needed)
        elif what == "start":
            graph.add_edge(node, ("run", dag_id, ""))
            graph.add_edges_from((node, ("end", dag_id, each)) for each in dag.tasks[task]["up"])
        elif task:
            graph.add_edge(node, ("start", dag_id, task))
            graph.add_edges_from((node, each) for each in waits[dag_id, task])
        else:
            graph.add_edges_from((node, ("end", dag_id, each)) for each in dag.tasks)
    graph.remove_nodes_from([node for node in list(graph) if node not in blocked])
    rule = "AA202" if lenient else "AA203"
    for part in networkx.strongly_connected_components(graph):
        edges = _shortest_cycle(graph.subgraph(part))
        steps = [label[edge] for edge in reversed(edges) if edge in label]
        # Without one that waits, a run started by hand ends it; whether it ends again is for _loops.
        if any(b in waits.get(a[1:], ()) for a, b in edges):
            yield _finding(rule, [edge[1][1] for edge in reversed(edges)], steps, "they wait for each other")


def _assets(condition: Any) -> Iterator[tuple[str | None, str | None]]:
    if condition != "time":
        if condition[0] == "asset":
            yield condition[1], condition[2]
        else:
            for each in condition[1:]:
                yield from _assets(each)


def _shortest_cycle(graph: Any) -> list[tuple[Any, Any]]:
    import networkx

    best: list[Any] = []
    for node in sorted(graph):
        for above in sorted(graph.predecessors(node)):
            path = [node] if above == node else networkx.shortest_path(graph, node, above)
            if not best or len(path) < len(best):
                best = path
        if best and len(graph) > 200:
            break
    return [(a, b) for a, b in zip(best, [*best[1:], *best[:1]], strict=True)] if best else []


def _loops(dags: dict[str, Dag], lenient: bool) -> Iterator[Finding]:
    """DAGs that start each other without end: runs beget runs, with nothing from outside.

    :param lenient: also through tasks behind a branch or a sensor, and triggers with an id or date of their own
    """
    starts: dict[tuple[str, str], tuple[str, Dag, int]] = {}
    made: dict[str, set[tuple[str, str | None]]] = defaultdict(set)
    for dag in dags.values():
        for ref in dag.triggers:
            if ref["dag"] in dags and (lenient or not (ref["once"] or ref["task"] in dag.conditional)):
                if ref["dag"] != dag.id:
                    starts[dag.id, ref["dag"]] = (f"{dag.id}.{ref['task']} triggers {ref['dag']}", dag, ref["line"])
                elif not lenient:
                    yield Finding(
                        dag.file, ref["line"], "AA207", f"{ref['task']} triggers its own DAG", dag.id, dag.line
                    )
        for outlet in dag.outlets:
            if not outlet["alias"] and (lenient or outlet["task"] not in dag.conditional):
                made[dag.id].add((outlet["name"], outlet["uri"]))

    def updates(by: Iterable[str]) -> Callable[[str | None, str | None], bool]:
        keys = {key for dag_id in by for key in made[dag_id]}
        names, uris = {name for name, _ in keys}, {uri for _, uri in keys if uri}
        return lambda name, uri: name in names or uri in uris

    alive = set(dags)
    while True:
        updated = updates(alive)
        keep = {
            id_ for id_ in alive
            if any(source in alive for source, target in starts if target == id_)
            or (_is_asset(dags[id_].start) and _met(dags[id_].start, updated, time=False))
        }  # fmt: skip
        if keep == alive:
            break
        alive = keep
    if not alive:
        return

    import networkx

    graph: networkx.DiGraph[str] = networkx.DiGraph()
    for source, target in starts:
        if source in alive and target in alive:
            graph.add_edge(source, target)
    for target in sorted(alive):
        if _is_asset(dags[target].start):
            for name, uri in _assets(dags[target].start):
                for source in sorted(alive):
                    if updates([source])(name, uri):
                        graph.add_edge(source, target)
                        text = f"the asset {name or uri} of {source} starts {target}"
                        starts.setdefault((source, target), (text, dags[source], dags[source].line))
    for part in networkx.strongly_connected_components(graph):
        if edges := _shortest_cycle(graph.subgraph(part)):
            steps = [starts[edge] for edge in edges]
            names = [edge[0] for edge in edges]
            yield _finding("AA203" if lenient else "AA202", names, steps, "they start each other without end")


def _finding(rule: str, names: list[str], steps: list[tuple[str, Dag, int]], what: str) -> Finding:
    """Starts at the DAG that comes first in the alphabet, so that the report does not depend on the order of files."""
    order = list(dict.fromkeys(names))
    first = order.index(min(order))
    order = [*order[first:], *order[:first]]
    _, dag, line = min(steps, key=lambda step: (step[1].id != order[0], step[1].id, step[2]))
    path = " -> ".join([*order, order[0]])
    return Finding(dag.file, line, rule, f"{path}: {what}: {'; '.join(step[0] for step in steps)}", dag.id, dag.line)
