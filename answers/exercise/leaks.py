"""Finds what a ticket would tell of its hidden data: expected values in messages, and in the judge's own text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from answers.exercise.catalogue import Ticket
from answers.exercise.check import Result


def told_too_much(told: dict[str, Any], result: Result) -> Iterator[str]:
    """Find numbers in messages that were expected of hidden data, and were not seen there."""
    public = set(re.findall(r"\d+", str(told)))
    for stage in result.stages:
        wanted = {number for number in re.findall(r"\d{2,}", str(stage.expected or "")) if number not in public}
        if leaked := wanted & set(re.findall(r"\d+", stage.because)):
            yield f"{stage.id}: the message tells an expected value: {', '.join(sorted(leaked))}"


def typed(ticket: Ticket, told: dict[str, Any], result: Result) -> Iterator[str]:
    """Find numbers that the judge has as text, and that it expected of hidden data: they are to be computed."""
    public = set(re.findall(r"\d+", str(told)))
    known = numbers_of((ticket.folder / "judge.py").read_text(encoding="utf-8")) - public
    for stage in result.stages:
        if same := known & set(re.findall(r"\d{3,}", str(stage.expected or ""))):
            yield f"{stage.id}: judge.py has the number {', '.join(sorted(same))}, which is expected of hidden data: compute it"


def numbers_of(code: str, inline: bool = False) -> set[str]:
    """Return the numbers of two and more digits that Python code is written with, those of slices left out.

    :param inline: only those that are not the value of a constant with a name of its own
    """
    tree = ast.parse(code)
    named = {
        id(node)
        for statement in tree.body
        if isinstance(statement, ast.Assign) and all(getattr(each, "id", "").isupper() for each in statement.targets)
        for node in ast.walk(statement)
    }
    slices = {id(node) for each in ast.walk(tree) if isinstance(each, ast.Slice) for node in ast.walk(each)}
    left_out = slices | (named if inline else set())
    numbers = (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and type(node.value) in (int, float) and id(node) not in left_out
    )
    return {digits for value in numbers for digits in re.findall(r"\d{2,}", str(value))}
