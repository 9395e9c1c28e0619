"""Keeps a baseline: the findings that a project has already. Only others count from then on.

It is a JSON file to be committed. It names findings by rule, file, DAG and message, not by line, so that code that moves within
its file makes no old finding new. Equal findings of one file are counted: one more of them is new.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dag_integrity.findings import Finding

VERSION = 1
Key = tuple[str, str, str, str]  # rule, file, dag_id, message


class BaselineError(Exception):
    """The baseline cannot be used; the message names the file and says what to do."""


@dataclass(frozen=True)
class Comparison:
    """Findings held against a baseline."""

    new: list[Finding]
    known: int
    """How many findings the baseline has already."""
    gone: int
    """How many of the baseline were not found any more."""


class Baseline:
    """The findings of a baseline file, counted."""

    def __init__(self, path: Path, counts: Counter[Key]) -> None:
        self.path, self.counts = path, counts

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Read a file with such a text.

        :raises BaselineError: it cannot be read, or is no baseline
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(document, dict) or document.get("version") != VERSION:
                raise ValueError(f"should be an object with version {VERSION}")
            counts = Counter({_key(entry): _count(entry) for entry in document["findings"]})
        except (OSError, ValueError, KeyError, TypeError) as error:
            text = f"{type(error).__name__}: {error}"
            raise BaselineError(f"{path}: is no baseline ({text}); write it anew with --update-baseline") from error
        return cls(path, counts)

    @classmethod
    def of(cls, path: Path, findings: Iterable[Finding]) -> Baseline:
        """Make a baseline of findings."""
        return cls(path, Counter(_key_of(finding, path) for finding in findings))

    def text(self) -> str:
        """Return the content of the file: a line for each finding, in an order that keeps differences small."""
        entries = []
        for (rule, file, dag_id, message), count in sorted(self.counts.items(), key=lambda item: (item[0][1], item[0])):
            entry: dict[str, Any] = {"file": file, "rule": rule, "dag_id": dag_id, "message": message}
            entries.append("\n  " + json.dumps(entry | ({"count": count} if count > 1 else {}), ensure_ascii=False))
        return f'{{"version": {VERSION}, "findings": [{",".join(entries)}\n]}}\n'

    def compare(self, findings: Iterable[Finding]) -> Comparison:
        """Find out which findings are new. Of equal ones the last in the file are."""
        left = Counter(self.counts)
        new, known = [], 0
        for finding in sorted(findings):
            key = _key_of(finding, self.path)
            if left[key] > 0:
                left[key] -= 1
                known += 1
            else:
                new.append(finding)
        return Comparison(new, known, sum(left.values()))


def _key_of(finding: Finding, path: Path) -> Key:
    """Name a finding by paths that count from the baseline's folder: the same wherever the check is started."""
    folder = path.absolute().parent
    file = Path(os.path.relpath(finding.file, folder)).as_posix()
    project = os.path.commonpath([folder, finding.file])
    if project != os.sep:
        finding = replace(finding, message=finding.message.replace(f"{project}{os.sep}", ""))
    return finding.rule, file, finding.dag_id or "", finding.stable_message


def _key(entry: dict[str, Any]) -> Key:
    key = (entry["rule"], entry["file"], entry["dag_id"], entry["message"])
    if not all(isinstance(part, str) for part in key):
        raise ValueError("rule, file, dag_id and message should be texts")
    return key


def _count(entry: dict[str, Any]) -> int:
    count = entry.get("count", 1)
    if type(count) is not int or count < 1:
        raise ValueError("count should be a number of 1 or more")
    return count
