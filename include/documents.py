"""Reads documents that people write: strict models, each key once, and every mistake on a line that says where it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

Location = tuple[str | int, ...]


class DocumentError(ValueError):
    """A text is no document. The message says what is wrong, and where in the text."""


class Strict(BaseModel):
    """A model without conversions, unknown keys or later changes."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _UniqueKeys(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Refuses what YAML accepts in silence: a key that occurs twice, where the last one would win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key should be a word", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} occurs twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(file: Path, name: object) -> Any:
    """Read a YAML file whose mappings have each key once.

    :param name: of the file, for the error
    :raises DocumentError: naming file and line
    :raises OSError: it cannot be read
    """
    try:
        return yaml.load(file.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise DocumentError(f"{name}{line}: not valid YAML: {getattr(error, 'problem', None) or error}") from error


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its keys it was given twice."""

    twice: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    result = _Object(pairs)
    keys = [key for key, _ in pairs]
    result.twice = tuple(sorted({key for key in keys if keys.count(key) > 1}))
    return result


def _no_number(text: str) -> None:
    raise DocumentError(f"{text} is no number in JSON")


def read_json(text: str) -> Any:
    """Parse JSON. A key given twice is an error: readers of JSON differ in which of the two counts.

    :raises DocumentError: naming line and column, or the JSONPath
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        at_end = error.pos >= len(text.rstrip()) - 1 and not error.msg.startswith("Extra")
        ends = at_end or error.msg.startswith("Unterminated")
        cut = ": was it cut off, or is it being written?" if ends else ""
        raise DocumentError(f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}{cut}") from error
    if twice := list(_given_twice(value)):
        raise DocumentError("\n  ".join(f"{path}: given twice, keep one" for path in twice))
    return value


def _given_twice(value: Any, at: Location = ()) -> list[str]:
    if isinstance(value, list):
        return [path for n, item in enumerate(value) for path in _given_twice(item, (*at, n))]
    if not isinstance(value, _Object):
        return []
    here = [json_path((*at, key)) for key in value.twice]
    return here + [path for key, item in value.items() for path in _given_twice(item, (*at, key))]


def dotted(location: Location) -> str:
    """Write a location as names with dots: rollups.0.title."""
    return ".".join(map(str, location))


def json_path(location: Location) -> str:
    """Write a location as JSONPath (RFC 9535): $.thresholds.skip_up_to_rows, $.airports[1]."""
    steps = [
        f"[{step}]" if isinstance(step, int) else f".{step}" if re.fullmatch(r"[A-Za-z_]\w*", step) else f"[{step!r}]"
        for step in location
        if step != "[key]"
    ]
    return "$" + "".join(steps)


def error_text(problem: Any) -> str:
    """Say what is wrong with a value. A number where a text belongs may only lack its quotes."""
    given = problem["input"]
    unquoted = problem["type"] == "string_type" and isinstance(given, bool | int | float)
    return problem["msg"].removeprefix("Value error, ") + (f" (quote it: '{given}')" if unquoted else "")


def error_lines(
    error: ValidationError, place: Callable[[Location], str] = dotted, say: Callable[[Any], str] = error_text
) -> list[str]:
    """Put each mistake on a line: its place, and what is wrong.

    :param place: writes a location; nothing is written of an empty one
    :param say: writes what is wrong, of one of pydantic's error details
    """
    return [
        f"{where}: {say(problem)}" if (where := place(problem["loc"])) else say(problem)
        for problem in error.errors(include_url=False)
    ]
