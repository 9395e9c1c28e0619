"""Judges the templates of a DAG and the code of its tasks: variables, connections and files that are not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from dag_integrity import schedules
from dag_integrity.callables import needed_names
from dag_integrity.effective import fields
from dag_integrity.facts import Entry, LineOf
from dag_integrity.templates import DATED, REMOVED, Used, strings, used, with_includes


def is_known(kind: str, key: str, known: list[str]) -> bool:
    """Tell whether a variable or connection is listed, or the environment defines it (AIRFLOW_VAR_..., AIRFLOW_CONN_...)."""
    prefix = "AIRFLOW_VAR_" if kind == "variable" else "AIRFLOW_CONN_"
    return key in known or prefix + key.upper() in os.environ


def templates(dag: Any, line_of: LineOf, options: dict[str, Any]) -> Iterator[Entry]:
    """Find what the templates of the tasks use that is not there."""
    own, known = set(dag.user_defined_macros or ()), dict[str, Used]()
    undated = schedules.undated(dag)
    environment = None
    for task in dag.tasks:
        texts = [text for text in strings(fields(task)) if "{{" in text or "{%" in text]
        if not texts:
            continue
        environment = environment or dag.get_template_env()
        for text in texts:
            if text not in known:  # many tasks of a DAG have the same template
                known[text] = with_includes(used(text, environment, own), environment, own)
            yield from _template(task.task_id, line_of(task), known[text], undated, options)


def _template(task_id: str, line: int, needs: Used, undated: str, options: dict[str, Any]) -> Iterator[Entry]:
    for name in sorted(needs.removed):
        yield "AA605", line, f"the template variable {name} (of {task_id}) is not there in Airflow 3"
    if undated and (names := sorted(needs.names & DATED)):
        yield "AA505", line, f"a template of {task_id} uses {', '.join(names)}, which {undated} does not have"
    for kind, keys, rule in (("variable", needs.variables, "AA308"), ("connection", needs.connections, "AA307")):
        known = options[f"known_{kind}s"]
        for key in sorted(keys) if known is not None else ():
            if not is_known(kind, key, known):
                yield rule, line, f"the {kind} {key!r} (in a template of {task_id}) is not known"


def context(dag: Any, line_of: LineOf, module: str) -> Iterator[Entry]:
    """Return what the code of the tasks takes from the context and does not get."""
    undated = schedules.undated(dag)
    for task in dag.tasks:
        names = needed_names(task, module)
        for name in sorted(names & REMOVED):
            yield (
                "AA605",
                line_of(task),
                f"the code of {task.task_id} needs {name}, which the context of Airflow 3 does not have",
            )
        if undated and (dated := sorted(names & DATED)):
            yield (
                "AA505",
                line_of(task),
                f"the code of {task.task_id} needs {', '.join(dated)}, which {undated} does not have",
            )


def missing_templates(dag: Any, line_of: LineOf) -> Iterator[Entry]:
    """Find files that Airflow would load as templates and that are not there. Call it before the files are loaded.

    Whatever ends in one of an operator's extensions is a file for Jinja, also a command. With a template_searchpath that is
    not on this machine nothing is said: the files may lie there.
    """
    if not all(os.path.isdir(each) for each in search_paths(dag)):
        return
    environment = None
    for task in dag.tasks:
        extensions = tuple(getattr(task, "template_ext", ()) or ())
        texts = [text for text in strings(fields(task)) if text.endswith(extensions)] if extensions else []
        for text in dict.fromkeys(texts):
            environment = environment or dag.get_template_env()
            for name in _not_loadable(environment, text, set(dag.user_defined_macros or ())):
                yield (
                    "AA310",
                    line_of(task),
                    f"{task.task_id} needs the template file {name[:120]!r}, which is not there",
                )


def search_paths(dag: Any) -> list[str]:
    """Return the folders of template_searchpath."""
    paths = getattr(dag, "template_searchpath", None) or []
    return [paths] if isinstance(paths, str) else [str(each) for each in paths]


def _not_loadable(environment: Any, name: str, own: set[str], depth: int = 0) -> Iterator[str]:
    """Return the templates, with those that they include, that Jinja cannot load."""
    if environment.loader is None or depth > 5:
        return
    try:
        source = environment.loader.get_source(environment, name)[0]
    except Exception as error:
        if type(error).__name__ == "TemplateNotFound":
            yield name
        return
    for inner in sorted(used(source, environment, own).files):
        yield from _not_loadable(environment, inner, own, depth + 1)
