"""Tells the arguments that a task will run with: defaults, default_args and configuration included, mapped tasks too."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

MOST = 50  # instances of a mapped task that are looked at
SIMPLE = (str, int, float, bool, timedelta, type(None))


def kinds(task: Any) -> frozenset[str]:
    """Return the names of a task's operator class and its bases, mapped tasks included."""
    operator: Any = getattr(task, "operator_class", None) or type(task)
    return _kinds(operator)


@functools.cache
def _kinds(operator: Any) -> frozenset[str]:
    return frozenset({base.__name__ for base in operator.__mro__} if isinstance(operator, type) else {str(operator)})


def is_mapped(task: Any) -> bool:
    """Tell whether the task is expanded when it runs."""
    return getattr(task, "partial_kwargs", None) is not None


def value(task: Any, name: str, default: Any = None) -> Any:
    """Return an argument of a task; of a mapped one, what was given to partial()."""
    if (partial := getattr(task, "partial_kwargs", None)) is not None:
        return partial.get(name, default)
    return getattr(task, name, default)


def fields(task: Any) -> list[Any]:
    """Return the templated fields of a task; of a mapped one, also what it is expanded with, as far as that is written down."""
    if not is_mapped(task):
        return [getattr(task, name, None) for name in getattr(task, "template_fields", ())]
    written = _written(task)
    given = list(written.values()) if isinstance(written, Mapping) else written
    return [*(value(task, name) for name in getattr(task, "template_fields", ())), given]


def arguments(task: Any) -> list[Mapping[str, Any]]:
    """Return what a task is made with: its attributes; of a mapped one, the arguments of each task that it is expanded to."""
    if not is_mapped(task):
        return [vars(task)]
    return [{**task.partial_kwargs, **each} for each in _expansions(_written(task)) or [{}]]


def instances(task: Any) -> list[Any]:
    """Return the tasks that run, as Airflow makes them: the task itself, or those that a mapped one is expanded to.

    Empty when that is only known at run time. What another task delivers stays a reference.
    """
    if not is_mapped(task):
        return [task]
    made = []
    for arguments in _expansions(_written(task)):
        try:
            made.append(task.unmap(arguments))
        except Exception:
            return []  # Airflow will say what is wrong with it when it runs
    return made


def sure(task: Any) -> bool:
    """Tell whether a mapped task is expanded to at least one task, whatever happens before."""
    return not is_mapped(task) or bool(_expansions(_written(task), literal=True))


def _written(task: Any) -> Any:
    """Return what a mapped task is expanded with: a dictionary of lists, a list of them, or something known at run time."""
    for name in ("op_kwargs_expand_input", "expand_input"):
        given = getattr(getattr(task, name, None), "value", None)
        if given:
            return given
    return None


def _expansions(written: Any, literal: bool = False) -> list[dict[str, Any]]:
    if isinstance(written, Mapping):
        lists = {name: given for name, given in written.items() if isinstance(given, list | tuple | Mapping)}
        if any(not given for given in lists.values()) or (literal and len(lists) < len(written)):
            return []
        longest = min(max((len(given) for given in lists.values()), default=1), MOST)
        choices = {name: list(given.items() if isinstance(given, Mapping) else given) for name, given in lists.items()}
        return [
            {name: choices[name][min(number, len(choices[name]) - 1)] if name in choices else given
             for name, given in written.items()}
            for number in range(longest)
        ]  # fmt: skip
    if isinstance(written, list | tuple) and all(isinstance(each, Mapping) for each in written):
        return [dict(each) for each in written[:MOST]]
    return []
