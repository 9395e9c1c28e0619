"""The document that shapes question 3's runs: its model, its JSON Schema, and errors that its writer can act on.

`python -m include.chunks.config` writes config.schema.json anew; a test keeps the two equal.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from include.errors import PermanentError

HERE = Path(__file__).resolve().parent
DEFAULT = HERE / "default.json"
SCHEMA = HERE / "config.schema.json"
LARGEST = 16 << 10  # bytes; a sound document has less than one thousand
SHOWN = 60  # characters of a wrong value in its error

Airport = Literal["EWR", "JFK", "LGA"]
Layer = Literal["flights", "daily_delays"]
Carrier = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2}$")]
Rows = Annotated[int, Field(ge=0, le=1_000_000)]


class ConfigInvalid(PermanentError, ValueError):
    """The document is wrong; trying again cannot help. The text lists every error with its place."""


def _different(items: list[Any]) -> list[Any]:
    if twice := sorted({str(item) for item in items if items.count(item) > 1}):
        raise ValueError(f"contains {', '.join(twice)} twice")
    return items


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):  # which Python, and so Literal, holds for equal to 1
        raise ValueError("input should be 1")
    return value


UNIQUE = (AfterValidator(_different), Field(min_length=1, json_schema_extra={"uniqueItems": True}))


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Thresholds(_Strict):
    """Which path a chunk takes, by its rows: skipped, transformed by the warehouse's engine, or by Spark."""

    skip_up_to_rows: Rows = Field(description="a chunk of at most so many rows is not published")
    spark_from_rows: Rows = Field(description="a chunk of at least so many rows is transformed by Spark")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.skip_up_to_rows >= self.spark_from_rows:
            raise ValueError("skip_up_to_rows must be less than spark_from_rows")
        return self


class Config(_Strict):
    """One version of the document."""

    model_config = ConfigDict(title="Shape of q03_partitions")

    schema_: str | None = Field(default=None, alias="$schema", description="for editors; not read")
    version: Annotated[Literal[1], BeforeValidator(_not_bool)] = Field(description="of this format")
    airports: Annotated[list[Airport], *UNIQUE] = Field(
        description="airports whose flights are published; of the others nothing stays published for the run's day"
    )
    carriers: Annotated[list[Carrier], *UNIQUE] | None = Field(
        default=None, max_length=40, description="carriers that get a chunk; all that fly on the day when left out"
    )
    thresholds: Thresholds
    overrides: dict[Airport, Thresholds] = Field(default={}, description="thresholds of single airports")
    layers: Annotated[list[Layer], *UNIQUE] = Field(description="tables that are published, as chunk_NAME")

    def thresholds_of(self, airport: str) -> Thresholds:
        """The thresholds that hold at an airport."""
        return {str(name): rules for name, rules in self.overrides.items()}.get(airport, self.thresholds)


def parse(data: bytes, where: str) -> Config:
    """The document in `data`.

    :param where: its address, for the error
    :raises ConfigInvalid: listing every error with its JSON path, what was given and what to do
    """
    try:
        return Config.model_validate(_decode(data))
    except ValidationError as error:
        problems = [_problem(each) for each in error.errors()]
    except (ValueError, RecursionError) as error:
        problems = [str(error) if isinstance(error, ValueError) else "nested too deeply"]
    count = f"{len(problems)} errors" if len(problems) > 1 else "an error"
    listed = "".join(f"\n  {problem}" for problem in problems)
    raise ConfigInvalid(f"{where} has {count}:{listed}\nMend it; {SCHEMA.name} beside the code describes the document.")


def schema() -> dict[str, Any]:
    """The JSON Schema of the document. That skip_up_to_rows < spark_from_rows cannot be said in it."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


def schema_text() -> str:
    """The content of config.schema.json."""
    return json.dumps(schema(), indent=2) + "\n"


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its keys it was given twice."""

    twice: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    result = _Object(pairs)
    keys = [key for key, _ in pairs]
    result.twice = tuple(sorted({key for key in keys if keys.count(key) > 1}))
    return result


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number in JSON")


def _decode(data: bytes) -> Any:
    """What the JSON text says. A key given twice is an error: readers of JSON differ in which of the two counts."""
    if len(data) > LARGEST:
        raise ValueError(f"larger than {LARGEST} bytes: is this the right object?")
    if not data.strip():
        raise ValueError("empty: is it being written?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: byte {data[error.start]:#04x} at offset {error.start}") from error
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        at_end = error.pos >= len(text.rstrip()) - 1 and not error.msg.startswith("Extra")
        ends = at_end or error.msg.startswith("Unterminated")
        cut = ": was it cut off, or is it being written?" if ends else ""
        raise ValueError(f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}{cut}") from error
    if twice := list(_given_twice(value)):
        raise ValueError("\n  ".join(f"{path}: given twice, keep one" for path in twice))
    return value


def _given_twice(value: Any, at: tuple[str | int, ...] = ()) -> list[str]:
    if isinstance(value, list):
        return [path for n, item in enumerate(value) for path in _given_twice(item, (*at, n))]
    if not isinstance(value, _Object):
        return []
    here = [_path((*at, key)) for key in value.twice]
    return here + [path for key, item in value.items() for path in _given_twice(item, (*at, key))]


def _path(location: tuple[str | int, ...]) -> str:
    """A location as JSONPath (RFC 9535): $.thresholds.skip_up_to_rows, $.airports[1]."""
    steps = [
        f"[{step}]" if isinstance(step, int) else f".{step}" if re.fullmatch(r"[A-Za-z_]\w*", step) else f"[{step!r}]"
        for step in location
        if step != "[key]"
    ]
    return "$" + "".join(steps)


def _problem(error: Any) -> str:
    given = json.dumps(error["input"], default=str)
    shown = given if len(given) <= SHOWN else f"{given[:SHOWN]}…"
    said = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{_path(error['loc'])}: missing"
    if error["type"] == "extra_forbidden":
        return f"{_path(error['loc'])}: unknown key (known: {', '.join(_known(error['loc']))})"
    return f"{_path(error['loc'])}: {said[0].lower()}{said[1:]}, given {shown}"


def _known(location: tuple[str | int, ...]) -> list[str]:
    model = Config if len(location) == 1 else Thresholds
    return [field.alias or name for name, field in model.model_fields.items()]


if __name__ == "__main__":
    SCHEMA.write_text(schema_text())
