"""Which files are DAG files, as Airflow decides it, and where Airflow would find the modules that they import."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True)
class DagFile:
    """A file to parse."""

    path: str
    roots: tuple[str, ...]
    """Folders for sys.path: DAGs folder, plugins, config, the project."""


def find(paths: list[Path], base: Path, exclude: list[str], python_path: list[str]) -> list[DagFile]:
    """The DAG files below `paths`, each once, in order.

    :param base: the folder that `exclude` and `python_path` count from
    :raises OSError: a folder cannot be read
    """
    found: dict[str, DagFile] = {}
    for path in paths:
        roots: dict[str, tuple[str, ...]] = {}  # of the files in a folder
        everywhere = path.is_file() or not _is_project(path) or _named_dags(path.name)
        for file in [str(path)] if path.is_file() else sorted(_walk(path)):
            if file in found or _excluded(file, base, exclude) or not might_contain_dag(file):
                continue
            if everywhere or _in_dags_folder(Path(file).relative_to(path)):
                parent = os.path.dirname(file)
                if parent not in roots:
                    roots[parent] = _roots(Path(file), path, base, python_path)
                found[file] = DagFile(file, roots[parent])
    return list(found.values())


def _is_project(folder: Path) -> bool:
    """Whether it is the root of a project that has its DAGs in folders called dags, beside tests and modules."""
    if not any((folder / name).exists() for name in (".git", "pyproject.toml", "setup.py", "airflow_settings.yaml")):
        return False
    return any(
        each.is_dir() and _named_dags(each.name) for pattern in ("*", "*/*", "*/*/*") for each in folder.glob(pattern)
    )


def _named_dags(name: str) -> bool:
    return name in ("dag", "dags")


def _in_dags_folder(relative: Path) -> bool:
    folders = relative.parts[:-1]
    return any(map(_named_dags, folders)) and not {"test", "tests", ".venv", "venv", "node_modules"} & set(folders)


def _excluded(file: str, base: Path, patterns: list[str]) -> bool:
    relative = os.path.relpath(file, base)
    return any(fnmatch(relative, pattern) or fnmatch(relative, f"{pattern.rstrip('/')}/*") for pattern in patterns)


def _walk(folder: Path) -> Iterator[str]:
    for file in _airflow_walk().find_path_from_directory(str(folder), ".airflowignore", _syntax()):
        if file.endswith(".py") and "/site-packages/" not in file.removeprefix(str(folder)) and os.path.isfile(file):
            yield file


def _syntax() -> str:
    return os.environ.get("AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX", "glob")


def _airflow_walk() -> ModuleType:
    """Airflow's own walk, which respects .airflowignore; loaded by itself, as `import airflow` takes a second."""
    airflow = importlib.util.find_spec("airflow")
    for folder in (airflow.submodule_search_locations or ()) if airflow else ():
        file = Path(folder, "_shared", "module_loading", "file_discovery.py")
        if file.is_file():
            spec = importlib.util.spec_from_file_location("_airflow_file_discovery", file)
            if spec and spec.loader:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    return importlib.import_module("airflow.utils.file")  # where Airflow 3.0 and 3.1 have it


def might_contain_dag(file: str) -> bool:
    """Airflow's safe mode: the file mentions airflow, and DAGs or assets. One that cannot be read is for the parser."""
    try:
        content = Path(file).read_bytes().lower()
    except OSError:
        return True
    return b"airflow" in content and (b"dag" in content or b"asset" in content)


def _roots(file: Path, asked: Path, base: Path, python_path: list[str]) -> tuple[str, ...]:
    folder = asked if asked.is_dir() else asked.parent
    project = next(
        (each for each in file.parents if (each / "pyproject.toml").exists() or (each / ".git").exists()), None
    )
    inside = [each for each in file.parents if project is None or each.is_relative_to(project)]
    named = [each for each in inside if _named_dags(each.name)]
    dags = named[-1] if named else folder
    roots = [dags, dags / "plugins", dags / "config"]
    if named:
        roots += [dags.parent / "plugins", dags.parent / "config", dags.parent]
    roots += [folder, *([project] if project else []), *(base / each for each in python_path)]
    return tuple(dict.fromkeys(str(each) for each in roots if each.is_dir()))
