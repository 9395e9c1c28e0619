"""Reads the configuration: `[tool.dag-integrity]` in the nearest pyproject.toml upward of the checked path."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from dag_integrity.rules import matching

TABLE, OLD_TABLE = "tool.dag-integrity", "tool.answers.integrity"
HEAVY = ("pandas", "numpy", "pyspark", "pyarrow", "polars", "duckdb", "tensorflow", "torch", "sklearn", "scipy", "matplotlib",
         "dask", "transformers", "xgboost", "snowpark")  # fmt: skip


class ConfigError(Exception):
    """The configuration or an option is wrong; the message names file, key and value."""


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("Input should be a number")
    return value


Rules = list[str]
Seconds = Annotated[float, BeforeValidator(_number), Field(gt=0, le=86400)]


class Config(BaseModel):
    """Holds what to check, and with which bounds."""

    model_config = ConfigDict(
        strict=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-"), use_attribute_docstrings=True
    )

    select: Rules = ["AA"]
    """Rules or groups (`AA2`) in force."""
    ignore: Rules = []
    """Rules or groups that are left out."""
    per_file_ignores: dict[str, Rules] = {}
    """A pattern of paths -> rules that are left out there."""
    fail_on: Literal["error", "warning", "info"] = "warning"
    """The lowest severity for exit code 1."""
    exclude: list[str] = []
    """Patterns of paths that are not checked."""
    python_path: list[str] = []
    """Further folders for `sys.path`."""
    env_file: str | None = None
    """NAME=value lines for the parsers, such as `AIRFLOW__CORE__DEFAULT_TASK_RETRIES=2`."""
    known_pools: list[str] | None = None
    """The pools that exist. Without a list AA306 is off."""
    known_connections: list[str] | None = None
    """The connections that exist. Without a list AA307 is off."""
    known_variables: list[str] | None = None
    """The variables that exist. Without a list AA308 is off."""
    known_dags: list[str] = []
    """DAGs that are defined elsewhere; a pattern may end in `*`."""
    baseline: str | None = None
    """A file of findings that are known and do not count (see Old findings)."""
    missing: Literal["report", "stand-in"] = "report"
    """What to do with a package that is not installed here: report it, or check the rest of the file with a stand-in."""
    parse_budget: Seconds = 5.0
    """Seconds of CPU that a file may take to parse, imports included, and of sleep that it asks for."""
    import_budget: Seconds = 2.0
    """Seconds of CPU for a file's imports beyond Airflow, whatever was imported before in that process."""
    heavy_imports: list[str] = list(HEAVY)
    """Packages that should not be imported at the top of a file."""
    preloaded_imports: list[str] = []
    """Modules that the deployment imports beforehand: not counted."""
    max_catchup_runs: Annotated[int, Field(ge=0)] = 100
    """Runs that `catchup=True` may create at once."""
    determinism: Literal["suspects", "all", "off"] = "suspects"
    """Which files are parsed a second time: those that two parses can differ for, all, or none."""
    high_entropy: bool = False
    """Whether every long random-looking string counts as a secret."""
    jobs: Annotated[int, Field(ge=1, le=256)] | None = None
    """Files parsed at a time. Without a number: one for each CPU."""
    timeout: Seconds = 30.0
    """Seconds of CPU after which a file is ended. One that only waits gets twice as many by the clock."""
    memory: Annotated[int, Field(ge=64, le=2**20)] = 2048
    """MB that a file may allocate (Linux)."""

    @field_validator("select", "ignore")
    @classmethod
    def _are_rules(cls, ids: list[str]) -> list[str]:
        matching(ids)
        return ids

    @field_validator("per_file_ignores")
    @classmethod
    def _map_to_rules(cls, patterns: dict[str, list[str]]) -> dict[str, list[str]]:
        for ids in patterns.values():
            matching(ids)
        return patterns

    def enabled(self) -> set[str]:
        """Return the ids of the rules in force."""
        return matching(self.select) - matching(self.ignore)

    def ignored_for(self, path: Path, root: Path) -> set[str]:
        """Return the ids that per-file-ignores switches off for a file."""
        relative = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
        found: set[str] = set()
        for pattern, ids in self.per_file_ignores.items():
            if fnmatch(relative, pattern) or fnmatch(path.name, pattern):
                found |= matching(ids)
        return found

    def for_workers(self) -> dict[str, Any]:
        """Return what the parsers need, as plain data."""
        names = ("known_pools", "known_connections", "known_variables", "parse_budget", "import_budget", "heavy_imports",
                 "preloaded_imports", "max_catchup_runs", "memory", "missing", "timeout")  # fmt: skip
        options = {name: getattr(self, name) for name in names}
        if self.known_pools is not None:
            options["known_pools"] = [*self.known_pools, "default_pool"]
        return options

    def environment(self, root: Path) -> dict[str, str]:
        """Return the variables of env-file.

        :raises ConfigError: the file is missing, or a line is no NAME=value
        """
        if self.env_file is None:
            return {}
        path = root / self.env_file
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"[{TABLE}] env-file = {self.env_file!r}: cannot be read: {error}") from error
        values = {}
        for number, line in enumerate(lines, start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                name, equals, value = line.strip().partition("=")
                if not equals or not re.fullmatch(r"\w+", name):
                    raise ConfigError(f"{path}, line {number}: should be NAME=value")
                values[name] = value
        return values


@dataclass
class Loaded:
    """A configuration, and where it comes from."""

    config: Config
    base: Path
    """The folder that its relative paths count from."""
    deprecated: str = ""
    """What to change in the file; empty when it is up to date."""


def find(path: Path) -> tuple[Path | None, str, dict[str, Any]]:
    """Find the nearest pyproject.toml at or above `path` that has the table.

    :returns: the file, the name of its table, and the table; without one None, the table's name and {}
    :raises ConfigError: the file is not TOML, or the table is none
    """
    for folder in (path, *path.parents):
        file = folder / "pyproject.toml"
        if not file.is_file():
            continue
        try:
            document: Any = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise ConfigError(f"{file}: {error}") from error
        for name in (TABLE, OLD_TABLE):
            table = document
            for key in name.split("."):
                table = table.get(key) if isinstance(table, dict) else None
            if table is None:
                continue
            if not isinstance(table, dict):
                raise ConfigError(f"{file}: [{name}] should be a table")
            return file, name, table
    return None, TABLE, {}


def load(path: Path, overrides: dict[str, Any]) -> Loaded:
    """Load the configuration for `path`.

    :param overrides: options of the command line, by the names of the keys; `ignore` adds to the file's
    :raises ConfigError: a key is unknown or a value is wrong; each is named
    """
    file, name, table = find(path if path.is_dir() else path.parent)
    given = {key.replace("_", "-"): value for key, value in overrides.items() if value is not None}
    merged = {**table, **given}
    if isinstance(table.get("ignore"), list) and "ignore" in given:
        merged["ignore"] = [*table["ignore"], *given["ignore"]]
    try:
        config = Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(
            "\n".join(_explain(problem, given, f"{file}: [{name}]") for problem in error.errors())
        ) from error
    base = file.parent if file else Path(os.path.commonpath([path if path.is_dir() else path.parent]))
    deprecated = f"{file}: [{OLD_TABLE}] is now called [{TABLE}]; rename it" if name == OLD_TABLE else ""
    return Loaded(config, base, deprecated)


def _explain(problem: Any, given: dict[str, Any], where: str) -> str:
    key, *rest = (str(part) for part in problem["loc"])
    text = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        text = f"no such key; there are {', '.join(sorted(name.replace('_', '-') for name in Config.model_fields))}"
    name = f"--{key}" if key in given else f"{where} {'.'.join([key, *rest])}"
    return f"{name} = {problem['input']!r}: {text}"
