"""Reads the Jinja templates of tasks: which variables they use that are not there when the task runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jinja2
from jinja2 import nodes

REMOVED = {
    "execution_date", "next_ds", "next_ds_nodash", "next_execution_date", "prev_ds", "prev_ds_nodash", "prev_execution_date",
    "prev_execution_date_success", "tomorrow_ds", "tomorrow_ds_nodash", "yesterday_ds", "yesterday_ds_nodash",
}  # fmt: skip
# Only there when the run has a logical date.
DATED = {
    "ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "logical_date", "data_interval_start", "data_interval_end",
}  # fmt: skip
OBJECTS = {"dag_run", "ti", "task_instance"}  # they lost `execution_date`, too
INTERESTING = re.compile(
    r"execution_date|next_ds|prev_ds|_ds\b|_ds_|\bds\b|\bds_|\bts\b|\bts_|logical_date|data_interval|\bconn\b|\bvar\b|include|extends|import"
)


@dataclass
class Used:
    """Holds what a template needs."""

    names: set[str] = field(default_factory=set)
    """Variables that have to be there: those with a default, or that are asked for first, are not counted."""
    removed: set[str] = field(default_factory=set)
    """Names of Airflow 2, also as attributes: `dag_run.execution_date`."""
    variables: set[str] = field(default_factory=set)
    connections: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    """Other templates that it includes."""


def used(text: str, environment: jinja2.Environment, own: set[str]) -> Used:
    """Return what a template needs; nothing for a text that is no template.

    :param own: names that the DAG defines itself (user_defined_macros)
    """
    found = Used()
    if "{" not in text or not INTERESTING.search(text):
        return found
    try:
        tree = environment.parse(text)
    except jinja2.TemplateSyntaxError:
        return found
    given = own | _assigned(tree)
    excused = _excused(tree)
    for node in _needed(tree):
        if isinstance(node, nodes.Name) and node.ctx == "load" and node.name not in given | excused:
            found.names.add(node.name)
        elif isinstance(node, nodes.Getattr | nodes.Getitem):
            _attribute(node, found, given | excused)
        elif isinstance(node, nodes.Call):
            _call(node, found, given)
        elif isinstance(node, nodes.Include | nodes.Extends | nodes.Import | nodes.FromImport):
            _file(node, found)
    found.removed |= found.names & REMOVED
    return found


def with_includes(found: Used, environment: jinja2.Environment, own: set[str]) -> Used:
    """Add what the templates need that a template includes, near or far."""
    todo, seen = sorted(found.files), set()
    while todo:
        name = todo.pop()
        if name in seen or environment.loader is None:
            continue
        seen.add(name)
        try:
            source = environment.loader.get_source(environment, name)[0]
        except Exception:  # noqa: S112 - that it is not there is a finding of its own
            continue
        inner = used(source, environment, own)
        found.names |= inner.names
        found.removed |= inner.removed
        found.variables |= inner.variables
        found.connections |= inner.connections
        todo += sorted(inner.files)
    return found


def _needed(node: nodes.Node) -> Iterator[nodes.Node]:
    """Return the parts of a template that fail when a variable is missing: not what has a default or is only asked about."""
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Filter) and child.name in ("default", "d"):
            for each in (*child.args, *(pair.value for pair in child.kwargs)):
                yield each
                yield from _needed(each)
        elif not (isinstance(child, nodes.Test) and child.name in ("defined", "undefined")):
            yield child
            yield from _needed(child)


def _assigned(tree: nodes.Template) -> set[str]:
    names = {node.name for node in tree.find_all(nodes.Name) if node.ctx in ("store", "param")}
    imported = {node.target for node in tree.find_all(nodes.Import)}
    blocks = {node.name for node in tree.find_all(nodes.Macro)}
    return names | imported | blocks


def _excused(tree: nodes.Template) -> set[str]:
    """Return the names that the template asks about with `is defined` before it uses them."""
    tests = (node for node in tree.find_all(nodes.Test) if node.name in ("defined", "undefined"))
    return {node.node.name for node in tests if isinstance(node.node, nodes.Name)}


def _path(node: nodes.Node) -> list[str] | None:
    """Return `var.value.feed` or `var["value"]["feed"]` as a list of names."""
    if isinstance(node, nodes.Name):
        return [node.name]
    if isinstance(node, nodes.Getattr):
        return [*above, node.attr] if (above := _path(node.node)) else None
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        return [*above, node.arg.value] if (above := _path(node.node)) else None
    return None


def _attribute(node: nodes.Node, found: Used, known: set[str]) -> None:
    path = _path(node) or [""]
    if path[0] in known:
        return
    if path[0] in OBJECTS and path[1:] == ["execution_date"]:
        found.removed.add(".".join(path))
    elif path[0] == "conn" and len(path) == 2 and path[1] != "get":
        found.connections.add(path[1])
    elif path[0] == "var" and len(path) == 3 and path[1] in ("value", "json") and path[2] != "get":
        found.variables.add(path[2])


def _call(node: nodes.Call, found: Used, known: set[str]) -> None:
    """Read `var.value.get('x')` and `conn.get('x')` without a second argument, which would be the default."""
    path = _path(node.node)
    if not path or path[0] in known or path[-1] != "get" or len(node.args) != 1 or node.kwargs:
        return
    if isinstance(key := node.args[0], nodes.Const) and isinstance(key.value, str):
        if path[:-1] == ["conn"]:
            found.connections.add(key.value)
        elif path[:-1] in (["var", "value"], ["var", "json"]):
            found.variables.add(key.value)


def _file(node: Any, found: Used) -> None:
    if getattr(node, "ignore_missing", False) or not isinstance(node.template, nodes.Const):
        return
    if isinstance(node.template.value, str):
        found.files.add(node.template.value)


def strings(item: Any, depth: int = 0) -> Iterator[str]:
    """Yield every text in a field of a task, as Airflow renders it: within lists and as values of dictionaries."""
    if isinstance(item, str):
        yield item
    elif depth < 6 and isinstance(item, dict):
        for each in item.values():
            yield from strings(each, depth + 1)
    elif depth < 6 and isinstance(item, list | tuple | set):
        for each in item:
            yield from strings(each, depth + 1)
