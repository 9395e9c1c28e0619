"""Tells which files are DAG files, as Airflow decides it, and where Airflow would find the modules that they import."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from dag_integrity.sources import read

OTHERS = {"test", "tests", ".venv", "venv", "node_modules", "site-packages", "__pycache__"}  # no DAGs of the deployment
FALSE = {"f", "false", "0"}  # as Airflow reads a setting
# What the airflow.cfg that Airflow generates says of [core] might_contain_dag_callable: nothing of the deployment's own.
AIRFLOWS_HEURISTIC = "airflow.utils.file.might_contain_dag_via_default_heuristic"


@dataclass(frozen=True)
class DagFile:
    """A file to parse."""

    path: str
    before: tuple[str, ...]
    """Folders that come first on sys.path, as those of PYTHONPATH do."""
    roots: tuple[str, ...]
    """Folders that Airflow appends to sys.path: config, plugins, the DAGs folder; and the project."""
    dags: str
    """The DAGs folder."""
    home: str
    """Where the file is parsed: the folder that has the DAGs folder in it, as AIRFLOW_HOME has."""


@dataclass
class Discovered:
    """The DAG files that were asked for, and what lies beside them."""

    files: list[DagFile] = field(default_factory=list)
    folders: set[Path] = field(default_factory=set)
    """The DAGs folders that were looked through."""
    left_out: bool = False
    """Whether a DAG file was seen and not taken: excluded, or not asked for."""
    settings: Mapping[str, str] = field(default_factory=dict)

    @functools.cached_property
    def complete(self) -> bool:
        """Tell whether these are all DAG files that the deployment can have, as far as can be told from here.

        Not when files were left out, when single files were given, when the project has other DAGs folders, or when the
        deployment is configured with several DAG bundles.
        """
        if self.left_out or not self.folders or _bundles(self.settings) > 1:
            return False
        projects = {project for folder in self.folders if (project := _project_of(folder)) is not None}
        return all(inner in self.folders for project in projects for inner in dags_folders(project))


def find(
    paths: list[Path], base: Path, exclude: list[str], python_path: list[str], settings: Mapping[str, str] | None = None
) -> Discovered:
    """Return the DAG files below `paths`, each once, in order. The answer is the same from any folder, and for `.` as for `dags`.

    :param base: the folder that `exclude` and `python_path` count from
    :param settings: the environment of the deployment: AIRFLOW__CORE__...
    :raises OSError: a folder cannot be read
    :raises RuntimeError: Airflow's walk meets a folder twice
    """
    found = Discovered(settings=settings if settings is not None else os.environ)
    taken: dict[str, DagFile] = {}
    seen: set[str] = set()
    before = tuple(str(base / each) for each in python_path if (base / each).is_dir())
    for path in paths:
        for folder in _folders_of(path):
            whole = folder == path or path in folder.parents
            if path.is_file() and not _named_dags(folder.name):
                files = [file for file in [str(path)] if _is_dag_file(file, found.settings)]
            else:
                found.folders.add(folder)
                files = list(_dag_files(folder, found.settings))
            seen.update(_members(files, found.settings))
            mine = files if whole else [each for each in files if _below(each, path)]
            for file in _members(mine, found.settings):
                if file not in taken and not _excluded(file, base, exclude):
                    taken[file] = DagFile(
                        file, before, _roots(Path(file), folder, path), str(folder), str(home_of(folder))
                    )
    found.files = list(taken.values())
    found.left_out = bool(seen - set(taken))
    return found


def dags_folder(path: Path) -> Path:
    """Return the DAGs folder that a path is in or has; the path itself when none is called so."""
    folder = path if path.is_dir() else path.parent
    return next(iter(_folders_of(folder)), folder)


def dags_folders(project: Path) -> list[Path]:
    """Return the outermost folders called dags in a project, leaving out tests and environments."""
    return list(_inner(str(project), 0))


def _inner(folder: str, depth: int) -> Iterator[Path]:
    if depth > 4:
        return
    try:
        names = sorted(each.name for each in os.scandir(folder) if each.is_dir() and not each.name.startswith("."))
    except OSError:
        return
    for name in names:
        inner = os.path.join(folder, name)
        if _named_dags(name):
            yield Path(inner)
        elif name not in OTHERS and not os.path.islink(inner):
            yield from _inner(inner, depth + 1)


def _folders_of(path: Path) -> list[Path]:
    """Return the DAGs folders that a path stands for: the one around it, those inside of a project, or itself."""
    folder = path if path.is_dir() else path.parent
    project = _project_of(folder)
    around = [each for each in (folder, *folder.parents) if project is None or each.is_relative_to(project)]
    if named := [each for each in around if _named_dags(each.name)]:
        return [named[-1]]
    if path.is_dir() and _is_project(path) and (inner := dags_folders(path)):
        return inner
    return [folder]


@functools.cache
def _project_of(folder: Path) -> Path | None:
    marks = ("pyproject.toml", ".git")
    return next((each for each in (folder, *folder.parents) if any((each / mark).exists() for mark in marks)), None)


def _is_project(folder: Path) -> bool:
    """Tell whether it is the root of a project that has its DAGs in folders called dags, beside tests and modules."""
    return any((folder / name).exists() for name in (".git", "pyproject.toml", "setup.py", "airflow_settings.yaml"))


def _named_dags(name: str) -> bool:
    return name in ("dag", "dags")


def home_of(folder: Path) -> Path:
    """Return the folder that has a DAGs folder in it, as AIRFLOW_HOME has."""
    return folder.parent if _named_dags(folder.name) else folder


def _below(file: str, path: Path) -> bool:
    return file == str(path) or Path(file).is_relative_to(path)


def _excluded(file: str, base: Path, patterns: list[str]) -> bool:
    relative = os.path.relpath(file, base)
    return any(fnmatch(relative, pattern) or fnmatch(relative, f"{pattern.rstrip('/')}/*") for pattern in patterns)


def _bundles(settings: Mapping[str, str]) -> int:
    try:
        return len(json.loads(settings.get("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST") or "[]"))
    except (ValueError, TypeError):
        return 2  # not readable here: it may be any number


def _dag_files(folder: Path, settings: Mapping[str, str]) -> Iterator[str]:
    syntax = settings.get("AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX", "glob")
    for file in sorted(_airflow_walk()(str(folder), ".airflowignore", syntax)):
        inside = file.removeprefix(str(folder))
        if os.path.isfile(file) and "/site-packages/" not in inside and _is_dag_file(file, settings):
            yield file


def _is_dag_file(file: str, settings: Mapping[str, str]) -> bool:
    if file.lower().endswith(".zip"):
        return zipfile.is_zipfile(file)
    return file.lower().endswith(".py") and might_contain_dag(file, settings)


def _members(files: list[str], settings: Mapping[str, str]) -> Iterator[str]:
    """Return the files, with each zip file replaced by the modules in its root, which Airflow imports."""
    for file in files:
        if not file.lower().endswith(".zip"):
            yield file
            continue
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name.endswith(".py") and "/" not in name]
        yield from (member for name in names if might_contain_dag(member := f"{file}/{name}", settings))


def _airflow_walk() -> Callable[[str, str, str], Iterable[str]]:
    """Load Airflow's own walk, which respects .airflowignore, by itself: `import airflow` takes a second."""
    airflow = importlib.util.find_spec("airflow")
    for folder in (airflow.submodule_search_locations or ()) if airflow else ():
        file = Path(folder, "_shared", "module_loading", "file_discovery.py")
        if file.is_file():
            spec = importlib.util.spec_from_file_location("_airflow_file_discovery", file)
            if spec and spec.loader:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                walk: Callable[[str, str, str], Iterable[str]] = module.find_path_from_directory
                return walk
    return _walk_elsewhere


def _walk_elsewhere(folder: str, ignore_file: str, syntax: str) -> list[str]:
    """Walk as Airflow 3.0 and 3.1 do. Their module needs all of Airflow: in a process whose home is not the user's.

    :raises RuntimeError: it cannot be done; the message is Airflow's
    """
    code = "import json, sys; from airflow.utils.file import find_path_from_directory as walk; "
    code += "open(sys.argv[1], 'w').write(json.dumps(list(walk(*sys.argv[2:]))))"
    with tempfile.TemporaryDirectory(prefix="dag-integrity-") as home:
        own = {"AIRFLOW_HOME": home, "AIRFLOW_CONFIG": f"{home}/airflow.cfg", "_AIRFLOW__AS_LIBRARY": "1",
               "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:///:memory:"}  # fmt: skip
        command = [sys.executable, "-P", "-c", code, f"{home}/found", folder, ignore_file, syntax]
        done = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
        found: list[str] = json.loads(Path(home, "found").read_text(encoding="utf-8"))
        return found


def might_contain_dag(file: str, settings: Mapping[str, str] | None = None) -> bool:
    """Tell as Airflow's safe mode does whether a file mentions airflow, and DAGs or assets.

    With [core] dag_discovery_safe_mode off, or a heuristic of the deployment's own, every file counts.
    """
    settings = settings or {}
    heuristic = settings.get("AIRFLOW__CORE__MIGHT_CONTAIN_DAG_CALLABLE") or AIRFLOWS_HEURISTIC
    if (
        heuristic != AIRFLOWS_HEURISTIC
        or settings.get("AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE", "True").strip().lower() in FALSE
    ):
        return True
    try:
        content = read(file).lower()
    except OSError:
        return True
    return b"airflow" in content and (b"dag" in content or b"asset" in content)


@functools.cache
def _roots_of(folder: Path, parent: Path) -> tuple[str, ...]:
    roots = [folder / "config", folder / "plugins"]
    if _named_dags(folder.name):
        roots = [folder.parent / "config", folder.parent / "plugins", *roots]
    roots = [*roots, folder, home_of(folder)]
    if (project := _project_of(parent)) is not None:
        roots.append(project)
    return tuple(dict.fromkeys(str(each) for each in roots if each.is_dir()))


def _roots(file: Path, folder: Path, asked: Path) -> tuple[str, ...]:
    roots = _roots_of(folder, file.parent)
    return roots if not asked.is_dir() or str(asked) in roots else (*roots, str(asked))
