"""Runs the whole check: parse, parse again where that can differ, read the text, compare across DAGs, suppress."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from dag_integrity import across, deployment, discovery
from dag_integrity.changes import ACROSS
from dag_integrity.config import Config
from dag_integrity.differences import differences, failed
from dag_integrity.findings import Finding, merged, suppress
from dag_integrity.pool import CannotCheck, Pool, parser_environment
from dag_integrity.protocol import Job, Result, Start
from dag_integrity.sources import read
from dag_integrity.static import Static, Unavailable

# A word that makes a second parse likely: its process is started at once, not when the first file asks for it.
LIKELY_UNSTABLE = re.compile(
    rb"\b(?:now|today|utcnow|uuid[14]|random|randint|days_ago|glob|listdir|iterdir)\(|\b(?:frozen)?set\("
)

UNSEEN = {"AA107", "AA204"}  # what only holds when every DAG was seen


@dataclass(frozen=True)
class Outcome:
    """Holds what a check found."""

    findings: list[Finding]
    """In order, with what is suppressed taken out."""
    files: list[str]
    dags: dict[str, set[str]]
    """The files that define each DAG."""
    modules: dict[str, list[str]]
    """The project's modules that each DAG file imports."""


def usable_cores() -> int:
    """Count the cores that this process may use, where the system tells (not on macOS), else those of the machine."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


class Check:
    """One run over some paths. Used as a context: whatever it started is ended.

    :param paths: the files and folders to check
    :param progress: called with (files done, files in all)
    """

    def __init__(self, paths: list[Path], progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        self.paths, self._progress = paths, progress
        self._home = Path(tempfile.mkdtemp(prefix="dag-integrity-"))
        self._selector = selectors.DefaultSelector()
        self._pools: list[Pool] = []
        self._static: Static | None = None
        self._first: dict[int, Result] = {}
        self._second: dict[int, Result] = {}
        self._third: dict[int, Result] = {}

    def __enter__(self) -> Check:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in self._pools:
            pool.close()
        if self._static:
            self._static.close()
        self._selector.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def run(self, config: Config, base: Path) -> Outcome:
        """Check everything.

        :raises CannotCheck: Airflow cannot be imported, a tool does not run, a folder cannot be read
        """
        self._config, self._base = config, base
        self._extra = deployment.settings(config, base, self.paths[0])
        enabled = config.enabled()
        self._jobs = config.jobs or usable_cores()
        folder = str(discovery.dags_folder(self.paths[0]))
        first = self._pool(0, folder, self._done_first)  # imports Airflow while this process reads the files
        try:
            settings = {**os.environ, **self._extra}
            self._discovered = discovery.find(self.paths, base, config.exclude, config.python_path, settings)
        except (OSError, RuntimeError) as error:
            raise CannotCheck(str(error)) from error
        files = self._discovered.files
        self._total = len(files)
        self._folder = folder
        for number, file in enumerate(files):
            first.add(Job(number, file, doc=config.determinism == "all"))
        wanted = enabled & {"AA504", "AA601", "AA602", "AA603", "AA604", "AA408", "AA701"}
        if wanted and files:
            texts = self._home / "texts"
            texts.mkdir()
            self._static = Static([file.path for file in files], config.high_entropy, texts, "AA701" in enabled)
        unstable = "AA407" in enabled and config.determinism != "off"
        if unstable and (config.determinism == "all" or any(_likely_unstable(file.path) for file in files)):
            self._twin()
        while any(pool.busy for pool in self._pools):
            for pool in self._pools:
                pool.step()
            for key, _ in self._selector.select(timeout=0.25):
                key.data()
        findings = self._stand_ins(files, self._gather(files))
        try:
            findings += list(self._static.findings()) if self._static else []
        except Unavailable as error:
            raise CannotCheck(str(error)) from error
        return self._outcome(self._remaining(findings, files, enabled), files)

    def _pool(self, seed: int, folder: str, report: Callable[[Job, Result], None]) -> Pool:
        home = self._home / str(seed)
        (home / "traces").mkdir(parents=True)
        options = {**self._config.for_workers(), "traces": str(home / "traces"),
                   "airflow_home": self._extra.get("AIRFLOW_HOME") or os.environ.get("AIRFLOW_HOME"),
                   "default_owner": self._extra.get("AIRFLOW__OPERATORS__DEFAULT_OWNER")
                   or os.environ.get("AIRFLOW__OPERATORS__DEFAULT_OWNER") or "airflow"}  # fmt: skip
        around = (Path(folder) / "plugins", Path(folder).parent / "plugins")
        plugins = next((str(each) for each in around if each.is_dir()), str(home / "plugins"))
        start = Start(parser_environment(home, folder, plugins, self._extra), options)
        pool = Pool(self._selector, seed, start, self._jobs, self._config.timeout, report)
        self._pools.append(pool)
        return pool

    def _twin(self) -> Pool:
        """Return the parsers with another hash seed."""
        if len(self._pools) == 1:
            self._pool(1, self._folder, self._done_second)
        return self._pools[1]

    def _done_first(self, job: Job, result: Result) -> None:
        self._first[job.id] = result
        mode = self._config.determinism
        if result.documents and mode != "off" and "AA407" in self._config.enabled():
            self._twin().add(Job(job.id, job.file, doc=True, later=True))
        else:
            result.documents = None
        self._progress(len(self._first), self._total)

    def _done_second(self, job: Job, result: Result) -> None:
        """Parse again at today's date when there was a difference: it was the hash seed's, or the date's."""
        if not job.later:
            self._third[job.id] = result
            return
        self._second[job.id] = result
        if differences(self._first[job.id], result):
            self._twin().add(Job(job.id, job.file, doc=True))

    def _gather(self, files: list[discovery.DagFile]) -> list[Finding]:
        findings, dags = [], []
        for number, result in sorted(self._first.items()):
            file = files[number].path
            lines = {about["id"]: about["line"] for about in result.dags}
            for rule, line, dag_id, message in result.findings:
                findings.append(Finding(file, line, rule, message, dag_id, lines.get(dag_id, 0)))
            dags += [(file, about) for about in result.dags]
            for rule, dag_id, message in self._instabilities(number):
                line = lines.get(dag_id or "", 1)
                findings.append(Finding(file, line, rule, message, dag_id, line))
        failed = any(
            rule in ("AA101", "AA102", "AA103", "AA104") for r in self._first.values() for rule, *_ in r.findings
        )
        failed = failed or any(result.stopped for result in self._first.values())
        made = [(files[number].path, result.made) for number, result in self._first.items() if result.made]
        found = list(across.compare(dags, self._config.known_dags, not failed, made, self._folders(files)))
        if any(each.rule in UNSEEN for each in found) and not self._discovered.complete:
            found = [each for each in found if each.rule not in UNSEEN]
        return findings + found

    def _folders(self, files: list[discovery.DagFile]) -> dict[str, str]:
        """Return file -> its DAGs folder. Several paths that are given together belong to one deployment."""
        return {} if len(self.paths) > 1 else {file.path: file.dags for file in files}

    def _outcome(self, findings: list[Finding], files: list[discovery.DagFile]) -> Outcome:
        dags: dict[str, set[str]] = {}
        for number, result in self._first.items():
            for about in result.dags:
                dags.setdefault(about["id"], set()).add(files[number].path)
        modules = {files[number].path: result.modules for number, result in self._first.items()}
        return Outcome(findings, [file.path for file in files], dags, modules)

    def _stand_ins(self, files: list[discovery.DagFile], findings: list[Finding]) -> list[Finding]:
        """Tell of each stand-in, and mark what was found behind one."""
        used = {files[number].path: result.stand_ins for number, result in self._first.items() if result.stand_ins}
        if not used:
            return findings
        by_dag = {
            about["id"]: tuple(sorted(result.stand_ins))
            for result in self._first.values() if result.stand_ins for about in result.dags
        }  # fmt: skip
        everything = tuple(sorted({name for names in used.values() for name in names}))
        marked = []
        for finding in findings:
            names = set(used.get(finding.file, ()))
            if finding.rule in ACROSS:
                words = re.findall(r"[\w-]+(?:\.[\w-]+)*", finding.message)
                names |= {name for dag_id, own in by_dag.items() if dag_id in words for name in own}
                if finding.rule == "AA204":  # the DAG may be one that a stand-in has swallowed
                    names |= set(everything)
            marked.append(replace(finding, rests_on=tuple(sorted(names))) if names else finding)
        told = [
            Finding(file, line, "AA109", f"{name} is not installed here: a stand-in takes its place")
            for file, names in used.items() for name, line in names.items()
        ]  # fmt: skip
        return marked + told

    def _instabilities(self, number: int) -> Iterator[tuple[str, str | None, str]]:
        """Return what differs between parses: by chance (AA407), or because of the date (AA408)."""
        first = self._first[number]
        today = differences(first, self._third[number]) if number in self._third else []
        for dag_id, message in today:
            yield "AA407", dag_id, message
        if number in self._third and not failed(self._second[number]):
            for dag_id, message in differences(first, self._second[number]):
                if (dag_id, message) not in today:
                    where = message.replace("differs between two parses", "is computed from the current time")
                    yield "AA408", dag_id, where.replace("in one of two parses only", "at some dates only")

    def _remaining(self, findings: list[Finding], files: list[discovery.DagFile], enabled: set[str]) -> list[Finding]:
        names = [file.path for file in files]
        off = {name: self._config.ignored_for(Path(name), self._base) for name in names}
        # A value from the clock is one finding, whether it is seen in the text or by comparing two parses.
        explicit = {(names[number], line) for number, result in self._first.items() for line in result.scheduled}
        in_text = {finding.file for finding in findings if finding.rule == "AA408" and "(AIR" in finding.message}
        steady = {
            names[number] for number, result in self._second.items() if number not in self._third and not failed(result)
        }
        chosen = {
            finding for finding in findings
            if finding.rule in enabled - off.get(finding.file, set())
            and not (finding.rule == "AA504" and (finding.file, finding.line) in explicit)  # schedule= within **arguments
            and not (finding.rule == "AA408" and finding.file in steady)  # two parses at two dates gave the same
            and not (finding.rule == "AA408" and finding.file in in_text and "(AIR" not in finding.message)
            and not (finding.rule == "AA407" and finding.file in in_text)
        }  # fmt: skip
        kept = suppress(sorted(chosen, key=_order), names, enabled)
        return sorted(merged({each for each in kept if each.rule in enabled - off.get(each.file, set())}), key=_order)


def _order(finding: Finding) -> tuple[str, int, str, str, str]:
    return finding.file, finding.line, finding.rule, finding.dag_id or "", finding.message


def _likely_unstable(file: str) -> bool:
    try:
        return LIKELY_UNSTABLE.search(read(file)) is not None
    except OSError:
        return False


def find_files(paths: list[Path], config: Config, base: Path) -> list[str]:
    """Find the files that a check of `paths` would read; those in zip files are left out.

    :raises CannotCheck: a folder cannot be read
    """
    settings = {**os.environ, **deployment.settings(config, base, paths[0])}
    try:
        found = discovery.find(paths, base, config.exclude, config.python_path, settings)
    except (OSError, RuntimeError) as error:
        raise CannotCheck(str(error)) from error
    return [file.path for file in found.files if Path(file.path).is_file()]
