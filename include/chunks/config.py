"""Models the document that shapes question 3's runs, with its JSON Schema and errors that its writer can act on.

`python -m include.chunks.config` writes config.schema.json anew; a test keeps the two equal.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from include.documents import Strict, error_lines, json_path, read_json
from include.errors import PermanentError

HERE = Path(__file__).resolve().parent
DEFAULT = HERE / "default.json"
SCHEMA = HERE / "config.schema.json"
LARGEST_DOCUMENT = 16 << 10  # bytes; a sound document has less than one thousand
LONGEST_SHOWN = 60  # characters of a wrong value in its error

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


class Thresholds(Strict):
    """Chooses a chunk's path by its rows: skipped, transformed by the warehouse's engine, or by Spark."""

    skip_up_to_rows: Rows = Field(description="a chunk of at most so many rows is not published")
    spark_from_rows: Rows = Field(description="a chunk of at least so many rows is transformed by Spark")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.skip_up_to_rows >= self.spark_from_rows:
            raise ValueError("skip_up_to_rows must be less than spark_from_rows")
        return self


class Config(Strict):
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
        """Return the thresholds that hold at an airport."""
        return {str(name): rules for name, rules in self.overrides.items()}.get(airport, self.thresholds)


def parse_config(data: bytes, where: str) -> Config:
    """Read the document in `data`.

    :param where: its address, for the error
    :raises ConfigInvalid: listing every error with its JSON path, what was given and what to do
    """
    try:
        return Config.model_validate(_decode(data))
    except ValidationError as error:
        problems = error_lines(error, json_path, _message)
    except (ValueError, RecursionError) as error:
        problems = [str(error) if isinstance(error, ValueError) else "nested too deeply"]
    count = f"{len(problems)} errors" if len(problems) > 1 else "an error"
    listed = "".join(f"\n  {problem}" for problem in problems)
    raise ConfigInvalid(f"{where} has {count}:{listed}\nMend it; {SCHEMA.name} beside the code describes the document.")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document. That skip_up_to_rows < spark_from_rows cannot be said in it."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


def schema_text() -> str:
    """Return the content of config.schema.json."""
    return json.dumps(json_schema(), indent=2) + "\n"


def _decode(data: bytes) -> Any:
    """Parse the object's bytes, and say what they seem to be where they are no document."""
    if len(data) > LARGEST_DOCUMENT:
        raise ValueError(f"larger than {LARGEST_DOCUMENT} bytes: is this the right object?")
    if not data.strip():
        raise ValueError("empty: is it being written?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: byte {data[error.start]:#04x} at offset {error.start}") from error
    return read_json(text)


def _message(problem: Any) -> str:
    """Say what is wrong in JSON's terms, and what was given."""
    if problem["type"] == "missing":
        return "missing"
    if problem["type"] == "extra_forbidden":
        return f"unknown key (known: {', '.join(_known_keys(problem['loc']))})"
    given = json.dumps(problem["input"], default=str)
    shown = given if len(given) <= LONGEST_SHOWN else f"{given[:LONGEST_SHOWN]}…"
    text = problem["msg"].removeprefix("Value error, ")
    return f"{text[0].lower()}{text[1:]}, given {shown}"


def _known_keys(location: tuple[str | int, ...]) -> list[str]:
    model = Config if len(location) == 1 else Thresholds
    return [field.alias or name for name, field in model.model_fields.items()]


if __name__ == "__main__":
    SCHEMA.write_text(schema_text())
