"""The configuration: `[tool.answers.integrity]` in the nearest pyproject.toml upward of the checked path."""

from __future__ import annotations

import os
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from dag_integrity.rules import matching

TABLE = "tool.answers.integrity"
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
    """What to check, and with which bounds."""

    model_config = ConfigDict(strict=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-"))

    select: Rules = ["AA"]
    ignore: Rules = []
    per_file_ignores: dict[str, Rules] = {}
    fail_on: Literal["error", "warning", "info"] = "warning"
    exclude: list[str] = []
    """Files that are not checked, as patterns of paths below the configuration file."""
    python_path: list[str] = []
    """Further folders for sys.path, relative to the configuration file."""
    env_file: str | None = None
    """NAME=value lines for the parsers, e.g. AIRFLOW__CORE__DEFAULT_TASK_RETRIES=2."""
    known_pools: list[str] | None = None
    known_connections: list[str] | None = None
    known_variables: list[str] | None = None
    known_dags: list[str] = []
    """DAGs that are defined elsewhere; a pattern may end in *."""
    parse_budget: Seconds = 5.0
    """Seconds a file may take to parse, imports included."""
    import_budget: Seconds = 2.0
    """Seconds of CPU that a file's imports may take, beyond Airflow itself."""
    heavy_imports: list[str] = list(HEAVY)
    preloaded_imports: list[str] = []
    """Modules that the deployment imports beforehand: not counted."""
    max_catchup_runs: Annotated[int, Field(ge=0)] = 100
    determinism: Literal["suspects", "all", "off"] = "suspects"
    """Which files are parsed a second time: those that two parses can differ for, all, or none."""
    high_entropy: bool = False
    """Whether every long random-looking string counts as a secret."""
    jobs: Annotated[int, Field(ge=1, le=256)] | None = None
    timeout: Seconds = 30.0
    memory: Annotated[int, Field(ge=64, le=2**20)] = 2048
    """MB that one file may allocate."""

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
        """The ids of the rules in force."""
        return matching(self.select) - matching(self.ignore)

    def ignored_for(self, path: Path, root: Path) -> set[str]:
        """The ids that per-file-ignores switches off for a file."""
        relative = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
        found: set[str] = set()
        for pattern, ids in self.per_file_ignores.items():
            if fnmatch(relative, pattern) or fnmatch(path.name, pattern):
                found |= matching(ids)
        return found

    def for_workers(self) -> dict[str, Any]:
        """What the parsers need, as plain data."""
        names = ("known_pools", "known_connections", "known_variables", "parse_budget", "import_budget", "heavy_imports",
                 "preloaded_imports", "max_catchup_runs", "memory")  # fmt: skip
        options = {name: getattr(self, name) for name in names}
        if self.known_pools is not None:
            options["known_pools"] = [*self.known_pools, "default_pool"]
        return options

    def environment(self, root: Path) -> dict[str, str]:
        """The variables of env-file.

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


def find(path: Path) -> tuple[Path | None, dict[str, Any]]:
    """The nearest pyproject.toml at or above `path` that has the table, and the table; None and {} when there is none.

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
        for key in TABLE.split("."):
            document = document.get(key) if isinstance(document, dict) else None
        if document is None:
            continue
        if not isinstance(document, dict):
            raise ConfigError(f"{file}: [{TABLE}] should be a table")
        return file, document
    return None, {}


def load(path: Path, overrides: dict[str, Any]) -> tuple[Config, Path]:
    """The configuration for `path`, and the folder that its relative paths count from.

    :param overrides: options of the command line, by the names of the keys
    :raises ConfigError: a key is unknown or a value is wrong; each is named
    """
    file, table = find(path if path.is_dir() else path.parent)
    given = {key.replace("_", "-"): value for key, value in overrides.items()}
    try:
        config = Config.model_validate({**table, **given})
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            key, *rest = (str(part) for part in problem["loc"])
            where = f"--{key}" if key in given else f"{file}: [{TABLE}] {'.'.join([key, *rest])}"
            text = problem["msg"].removeprefix("Value error, ")
            if problem["type"] == "extra_forbidden":
                keys = ", ".join(sorted(name.replace("_", "-") for name in Config.model_fields))
                text = f"no such key; there are {keys}"
            lines.append(f"{where} = {problem['input']!r}: {text}")
        raise ConfigError("\n".join(lines)) from error
    return config, file.parent if file else Path(os.path.commonpath([path if path.is_dir() else path.parent]))
