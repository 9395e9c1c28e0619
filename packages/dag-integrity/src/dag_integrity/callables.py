"""Tells what the code of a task takes from Airflow's context that has to be there: `context["ds"]`, `def load(ds)`."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterator
from itertools import pairwise
from types import CodeType
from typing import Any

from dag_integrity.templates import DATED, REMOVED

CONTEXT = {"context", "kwargs"}
OF_INTEREST = REMOVED | DATED


def needed_names(task: Any, module: str) -> set[str]:
    """Return the names of the context that fail the task where they are missing; of REMOVED and DATED all of them.

    Looks at the function of a task, and at `execute` of an operator that the DAG file itself defines. A name with a default,
    or asked for with `.get`, is not needed.

    :param module: the name that the DAG file has as a module
    """
    arguments = getattr(task, "partial_kwargs", None) or vars(task)
    function = arguments.get("python_callable")
    if function is not None:
        given = set(arguments.get("op_kwargs") or ()) if isinstance(arguments.get("op_kwargs") or {}, dict) else None
        positional = len(arguments.get("op_args") or ())
        return set() if given is None else set(_of_function(function, given, positional))
    operator = getattr(task, "operator_class", None) or type(task)
    if getattr(operator, "__module__", "") != module:
        return set()
    execute = getattr(operator, "execute", None)
    return set(_subscripts(getattr(inspect.unwrap(execute) if execute else None, "__code__", None)))


def _of_function(function: Any, given: set[str], positional: int) -> Iterator[str]:
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType) and OF_INTEREST.isdisjoint((*code.co_varnames, *_texts(code.co_consts))):
        return  # nearly all functions: a signature takes long
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return
    for parameter in parameters[positional:]:
        plain = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if plain and parameter.default is parameter.empty and parameter.name not in given:
            yield parameter.name
    yield from (name for name in _subscripts(getattr(function, "__code__", None)) if name not in given)


def _texts(constants: tuple[object, ...]) -> Iterator[str]:
    return (each for each in constants if isinstance(each, str))


def _subscripts(code: CodeType | None) -> Iterator[str]:
    """Give the keys that `context["key"]` asks for, where `context` is a parameter or `**context`."""
    if code is None:
        return
    count = code.co_argcount + code.co_kwonlyargcount
    own = {name for name in code.co_varnames[:count] if name in CONTEXT}
    if code.co_flags & inspect.CO_VARKEYWORDS:
        own.add(code.co_varnames[count + bool(code.co_flags & inspect.CO_VARARGS)])
    asks, stored = [], set()
    steps = [step for step in dis.get_instructions(code) if step.opname not in ("CACHE", "EXTENDED_ARG")]
    for load, key, use in zip(steps, steps[1:], steps[2:], strict=False):
        if load.argval in own and load.opname.startswith("LOAD_FAST") and key.opname == "LOAD_CONST":
            if use.opname == "BINARY_SUBSCR" or use.argrepr == "[]":
                asks.append(key.argval)
            elif use.opname in ("STORE_SUBSCR", "CONTAINS_OP"):
                stored.add(key.argval)
    asked_first = {step.argval for step, after in pairwise(steps)
                   if step.opname == "LOAD_CONST" and after.argval in own}  # fmt: skip
    yield from (name for name in asks if isinstance(name, str) and name not in stored | asked_first)
