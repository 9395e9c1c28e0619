"""Tells what has changed since a revision, according to Git: for a check of what a merge request touches."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from dag_integrity.findings import Finding

ACROSS = {"AA106", "AA202", "AA203", "AA204", "AA205", "AA207"}  # another file can be what makes them true
NAME = re.compile(r"'([^']+)'|([\w.-]+)")


class ChangesError(Exception):
    """Git cannot tell; the message says why and what to do."""


class Changes:
    """The files that differ between the working tree and where it left `revision`, untracked files included.

    :param folder: a folder of the repository
    :param revision: a commit, tag or branch. What was committed there after this branch left it is no change of this branch.
    :raises ChangesError: there is no Git, no repository, or no such revision
    """

    def __init__(self, folder: Path, revision: str) -> None:
        self._top = Path(os.path.realpath(_git(folder, "rev-parse", "--show-toplevel").rstrip("\n")))
        if revision.startswith("-"):
            raise ChangesError(f"--since {revision}: is no revision")
        _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        try:
            self._start = _git(self._top, "merge-base", revision, "HEAD").strip()
        except ChangesError:  # histories that have nothing in common, as in a shallow clone
            self._start = revision
        changed = _names(_git(self._top, "diff", "--name-only", "--no-renames", "-z", self._start, "--"))
        untracked = _names(_git(self._top, "ls-files", "--others", "--exclude-standard", "-z"))
        self._changed = {*changed, *untracked}
        self.files = {str(self._top / name) for name in self._changed}

    def touches(self, file: str) -> bool:
        """Tell whether a file has changed."""
        return os.path.realpath(file) in self.files

    @cached_property
    def before(self) -> str:
        """Return the texts that the changed Python files had, to know which DAGs are gone."""
        texts = []
        for name in sorted(self._changed):
            if name.endswith(".py"):
                try:
                    texts.append(_git(self._top, "show", f"{self._start}:{name}"))
                except ChangesError:
                    continue  # a new file
        return "\n".join(texts)

    def concern(self, finding: Finding, dags: dict[str, set[str]], modules: Mapping[str, Iterable[str]]) -> bool:
        """Tell whether a finding is about what has changed.

        :param dags: the files of each DAG
        :param modules: the project's modules that a DAG file imports
        """
        if self._changed_with_modules(finding.file, modules):
            return True
        if finding.rule not in ACROSS:
            return False
        for quoted, word in NAME.findall(f"{finding.dag_id or ''} {finding.message}"):
            name = quoted or word
            # A sensor is written as DAG.task; ids of DAGs may have dots, too.
            owners = {file for length in range(len(name) + 1) for file in dags.get(name[:length], ())}
            if any(self._changed_with_modules(file, modules) for file in owners):
                return True
            if quoted and not owners and re.search(rf"(?<![\w-]){re.escape(quoted)}(?![\w-])", self.before):
                return True  # a DAG that a changed file had
        return False

    def _changed_with_modules(self, file: str, modules: Mapping[str, Iterable[str]]) -> bool:
        return self.touches(file) or any(self.touches(module) for module in modules.get(file, ()))


def _names(output: str) -> list[str]:
    return [name for name in output.split("\0") if name]


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, encoding="utf-8", errors="replace"
        )
    except FileNotFoundError as error:
        raise ChangesError("--since needs the program git, which is not there: install it") from error
    if done.returncode:
        said = (
            " ".join(done.stderr.split()) or "no such revision; in CI, fetch the history (fetch-depth: 0, GIT_DEPTH: 0)"
        )
        raise ChangesError(f"--since: git {arguments[0]}: {said}")
    return done.stdout
