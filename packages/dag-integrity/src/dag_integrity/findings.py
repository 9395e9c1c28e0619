"""Tells what the checker found, and the comments that suppress it."""

from __future__ import annotations

import io
import os
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from dag_integrity.rules import RULES, Severity
from dag_integrity.sources import read

# The list behind a budget depends on the machine and its load.
MEASURED = re.compile(r"(, budget )\d.*")
EACH_USE = {"AA601", "AA603", "AA604"}  # found in the text, once for each use of a name
COMMENT = re.compile(r"#\s*integrity:\s*ignore\b(?:\[([^\]]*)\])?")


@dataclass(frozen=True, order=True)
class Finding:
    """One finding. `file` is an absolute path until it is shown; `line` counts from 1."""

    file: str
    line: int
    rule: str
    message: str
    dag_id: str | None = None
    scope: int = 0
    """The line of the DAG's definition, where a comment suppresses it too; 0: only its own line."""
    also: tuple[int, ...] = ()
    """Further lines of the file with the same finding."""
    rests_on: tuple[str, ...] = ()
    """The packages that a stand-in took the place of, where that may have led to this finding."""

    @property
    def severity(self) -> Severity:
        """Return the severity of its rule. What rests on a stand-in is never an error."""
        severity = RULES[self.rule].severity
        return "warning" if self.rests_on and severity == "error" else severity

    @property
    def text(self) -> str:
        """Return the message, with what else has to be known to believe it."""
        text = self.message
        if self.also:
            shown = ", ".join(map(str, self.also[:5])) + (", ..." if len(self.also) > 5 else "")
            text += f" (also in line{'s' if len(self.also) > 1 else ''} {shown})"
        if self.rests_on:
            text += f" (rests on a stand-in for {', '.join(self.rests_on)}, not installed here)"
        return text

    @property
    def fix(self) -> str:
        """Return that of its rule."""
        return RULES[self.rule].fix

    def fingerprint(self, occurrence: int = 0) -> str:
        """Return a hash that stays when lines move: for reports that follow a finding through commits."""
        text = "\0".join((self.rule, self.file, self.dag_id or "", self.stable_message))
        return sha256(f"{text}\0{occurrence}".encode()).hexdigest()

    @property
    def stable_message(self) -> str:
        """Return the message without what may change alone: numbers, and which import was measured as dearest."""
        return re.sub(r"(?<![\w-])\d[\d.,]*(?![\w-])", "#", MEASURED.sub(r"\1", self.message))


def suppressions(source: bytes) -> dict[int, set[str] | None]:
    """Return line -> the ids of its comment `# integrity: ignore[AA101, AA2]`; None is the bare form, which ignores every rule.

    Only comments count, not strings that look like one; a file that cannot be tokenised has none.
    """
    if b"integrity:" not in source:
        return {}
    found: dict[int, set[str] | None] = {}
    try:
        for token in tokenize.tokenize(io.BytesIO(source).readline):
            if token.type == tokenize.COMMENT and (match := COMMENT.search(token.string)):
                ids = match.group(1)
                found[token.start[0]] = (
                    None if ids is None else {each.strip() for each in ids.split(",") if each.strip()}
                )
    except (tokenize.TokenError, SyntaxError, UnicodeDecodeError):
        return {}
    return found


def suppress(findings: Iterable[Finding], files: Iterable[str], enabled: set[str]) -> list[Finding]:
    """Return the findings that no comment suppresses, and one for each suppression that is unused or names no rule.

    :param enabled: rules in force: an id that is switched off anyway is not called unused
    """
    comments = dict(_comments(files))
    used: dict[tuple[str, int], set[str]] = defaultdict(set)
    kept = []
    for finding in findings:
        for line in dict.fromkeys((finding.line, finding.scope)):
            ids = comments.get(finding.file, {}).get(line, set())
            hit = "*" if ids is None else next((id_ for id_ in sorted(ids) if finding.rule.startswith(id_)), None)
            if hit:
                used[finding.file, line].add(hit)
                break
        else:
            kept.append(finding)
    for file, lines in comments.items():
        for line, ids in lines.items():
            idle = _idle(ids, used[file, line], enabled)
            kept += [Finding(file, line, rule, message) for rule, message in idle]
    return kept


def _comments(files: Iterable[str]) -> Iterator[tuple[str, dict[int, set[str] | None]]]:
    """Give the suppressions of each file that has any."""
    for file in files:
        try:
            if found := suppressions(read(file)):
                yield file, found
        except OSError:
            continue  # an unreadable file is a finding of the parser


def _idle(ids: set[str] | None, used: set[str], enabled: set[str]) -> Iterator[tuple[str, str]]:
    """Give (rule, message) for what a comment names and does not suppress."""
    for id_ in sorted(ids or ()):
        rules = {rule for rule in RULES if rule.startswith(id_)}
        if not rules:
            yield "AA902", f"{id_} is no rule"
        elif rules & enabled and id_ not in used:
            yield "AA901", f"nothing on this line breaks {id_}"
    if ids is None and not used:
        yield "AA901", "nothing on this line breaks a rule"
    elif ids == set():
        yield "AA902", "the brackets are empty"


def relative(finding: Finding, base: Path) -> Finding:
    """Return it with paths relative to `base` where they lie below, those in the message, too."""
    path, message = Path(finding.file), finding.message.replace(f"{base}{os.sep}", "")
    file = path.relative_to(base).as_posix() if path.is_relative_to(base) else finding.file
    return replace(finding, file=file, message=message)


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Make one finding of what a file says again and again, such as a deprecated name, with the lines of all uses."""
    kept: dict[tuple[str, str, str], Finding] = {}
    others = []
    for finding in sorted(findings):
        key = (finding.file, finding.rule, finding.message)
        if finding.rule not in EACH_USE:
            others.append(finding)
        elif key not in kept:
            kept[key] = finding
        elif finding.line not in (kept[key].line, *kept[key].also):
            kept[key] = replace(kept[key], also=(*kept[key].also, finding.line))
    return [*others, *kept.values()]
