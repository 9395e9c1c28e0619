"""Tells what only shows when all DAGs are seen together: duplicates, unknown references, DAGs that wait for or start each other.

Longer than 300 lines, because the graph and the rules on it are one class.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from dag_integrity import conditions, references
from dag_integrity.findings import Finding
from dag_integrity.model import Dag, Kind, Node, Rounds, Step, is_asset, misses

ANY_OF = {"one_success", "one_done", "one_failed"}


def compare(
    parsed: Iterable[tuple[str, dict[str, Any]]],
    known_dags: list[str],
    complete: bool,
    made: Iterable[tuple[str, dict[str, Any]]] = (),
    folders: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """Return the findings across DAGs.

    :param parsed: (file, facts of one DAG)
    :param known_dags: patterns of ids that are defined elsewhere
    :param complete: whether all DAGs are known, so that a reference to another one is wrong
    :param made: (file, what lost.Made says of it)
    :param folders: file -> its DAGs folder; those of other folders may belong to another deployment
    """
    dags: dict[str, Dag] = {}
    for file, about in sorted(parsed, key=lambda each: (each[0], each[1]["line"])):
        dag = Dag(file, **about)
        first = dags.setdefault(dag.id, dag)
        if first is not dag and (not folders or folders.get(first.file) == folders.get(file)):
            where = f"{first.file}, line {first.line}," if first.file != file else f"line {first.line}"
            yield dag.finding("AA106", dag.line, f"{where} defines it too")
    yield from references.lost(dags, list(made))
    yield from references.unknown(dags, known_dags, complete)
    yield from references.never_met(dags)
    linked = {id_: dag for id_, dag in dags.items() if dag.linked}
    for each in list(linked.values()):  # and what they refer to
        linked |= {ref["dag"]: dags[ref["dag"]] for ref in (*each.sensors, *each.triggers) if ref["dag"] in dags}
    if any(dag.sensors or dag.triggers or is_asset(dag.start) for dag in linked.values()):
        yield from Graph(linked).cycles()


class Graph:
    """Holds what has to happen before what, across DAGs. Each rule about cycles is a method.

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
        self._round = Rounds(dags)
        for dag in dags.values():
            for ref in dag.triggers:
                self._add_trigger(dag, ref)
            for ref in dag.sensors:
                self._add_sensor(dag, ref)
            for outlet in dag.outlets:
                self._makers[outlet["name"], outlet["uri"]].append(Node(Kind.END, dag.id, outlet["task"]))

    def cycles(self) -> Iterator[Finding]:
        """Report AA202 for what is certain; AA203 for what depends on a branch, unless the same DAGs are certain to go round."""
        certain = list(self.deadlocks(lenient=True)) + list(self.loops(lenient=False))
        yield from certain
        seen = {_names(finding) for finding in certain}
        for finding in (*self.deadlocks(lenient=False), *self.loops(lenient=True)):
            if _names(finding) not in seen:
                seen.add(_names(finding))
                yield finding

    def deadlocks(self, lenient: bool) -> Iterator[Finding]:
        """Find tasks that can never end, because what they wait for waits for them.

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
        """Find DAGs that start each other without end: runs beget runs, with nothing from outside.

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
        if ref["wait"] and ref["same_date"] and self._round.has(dag.id, ref["dag"], 0.0):
            awaited = Node(Kind.END, ref["dag"])
            self._waits[dag.id, ref["task"]].append(awaited)
            text = f"{dag.id}.{ref['task']} triggers {ref['dag']} and waits for its end"
            self._label[Node(Kind.END, dag.id, ref["task"]), awaited] = Step(text, dag, ref["line"])

    def _add_sensor(self, dag: Dag, ref: dict[str, Any]) -> None:
        if (
            ref["dag"] not in self.dags
            or not ref["waits_for_end"]
            or not self._round.has(dag.id, ref["dag"], ref["delta"])
        ):
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
        """Return what can never happen."""
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

        return conditions.met(dag.start, updated, time=True)

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
        """Return what has to happen before."""
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
        for name, uri in conditions.assets(dag.start) if is_asset(dag.start) else ():
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
        """Return the pairs (DAG, DAG that it triggers)."""
        return {
            (dag.id, ref["dag"]): Step(f"{dag.id}.{ref['task']} triggers {ref['dag']}", dag, ref["line"])
            for dag in self.dags.values()
            for ref in dag.triggers
            if ref["dag"] in self.dags
            and ref["dag"] != dag.id
            and (lenient or not (ref["once"] or ref["task"] in dag.conditional))
        }

    def _sure_updates(self, lenient: bool) -> dict[str, set[tuple[str, str | None]]]:
        """Return the assets that each run of a DAG updates."""
        return {
            dag.id: {
                (outlet["name"], outlet["uri"]) for outlet in dag.outlets
                if not outlet["alias"] and (lenient or outlet["task"] not in dag.conditional)
            }
            for dag in self.dags.values()
        }  # fmt: skip

    def _self_sustaining(self, starts: set[tuple[str, str]], made: dict[str, set[tuple[str, str | None]]]) -> set[str]:
        """Return the DAGs whose runs are started by runs of one another, for ever."""
        alive = set(self.dags)
        while True:
            updated = conditions.updates(made, alive)
            keep = {
                id_ for id_ in alive
                if any(source in alive for source, target in starts if target == id_)
                or (is_asset(self.dags[id_].start) and conditions.met(self.dags[id_].start, updated, time=False))
            }  # fmt: skip
            if keep == alive:
                return alive
            alive = keep

    def _asset_starts(
        self, alive: set[str], made: dict[str, set[tuple[str, str | None]]]
    ) -> Iterator[tuple[str, str, str | None]]:
        for target in sorted(alive):
            for name, uri in conditions.assets(self.dags[target].start) if is_asset(self.dags[target].start) else ():
                for source in sorted(alive):
                    if conditions.updates(made, [source])(name, uri):
                        yield source, target, name or uri


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
    """Return the DAGs of a cycle."""
    return frozenset(finding.message.split(": ")[0].split(" -> "))


def _finding(rule: str, names: list[str], steps: list[Step], what: str) -> Finding:
    """Make a finding of a cycle, from the DAG that comes first in the alphabet: the order of files does not matter."""
    order = list(dict.fromkeys(names))
    first = order.index(min(order))
    order = [*order[first:], *order[:first]]
    start = min(steps, key=lambda step: (step.dag.id != order[0], step.dag.id, step.line))
    path = " -> ".join([*order, order[0]])
    return start.dag.finding(rule, start.line, f"{path}: {what}: {'; '.join(step.text for step in steps)}")
