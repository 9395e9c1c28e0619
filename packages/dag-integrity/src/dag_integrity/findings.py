"""What the checker found, and the comments that suppress it."""

from __future__ import annotations

import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from dag_integrity.rules import RULES, Severity
from dag_integrity.sources import read

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

    @property
    def severity(self) -> Severity:
        """That of its rule."""
        return RULES[self.rule].severity

    @property
    def fix(self) -> str:
        """That of its rule."""
        return RULES[self.rule].fix

    def fingerprint(self, occurrence: int = 0) -> str:
        """Stable when lines move: for reports that follow a finding through commits."""
        text = "\0".join((self.rule, self.file, self.dag_id or "", re.sub(r"\d+(\.\d+)?", "#", self.message)))
        return sha256(f"{text}\0{occurrence}".encode()).hexdigest()


def suppressions(source: bytes) -> dict[int, set[str] | None]:
    """Line -> the ids of its comment `# integrity: ignore[AA101, AA2]`; None is the bare form, which ignores every rule.

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
    """The findings that no comment suppresses, and one for each suppression that is unused or names no rule.

    :param enabled: rules in force: an id that is switched off anyway is not called unused
    """
    comments: dict[str, dict[int, set[str] | None]] = {}
    for file in files:
        try:
            if found := suppressions(read(file)):
                comments[file] = found
        except OSError:
            continue  # an unreadable file is a finding of the parser
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
            for id_ in sorted(ids or ()):
                rules = {rule for rule in RULES if rule.startswith(id_)}
                if not rules:
                    kept.append(Finding(file, line, "AA902", f"{id_} is no rule"))
                elif rules & enabled and id_ not in used[file, line]:
                    kept.append(Finding(file, line, "AA901", f"nothing on this line breaks {id_}"))
            if ids is None and not used[file, line]:
                kept.append(Finding(file, line, "AA901", "nothing on this line breaks a rule"))
            elif ids == set():
                kept.append(Finding(file, line, "AA902", "the brackets are empty"))
    return kept


def relative(finding: Finding, base: Path) -> Finding:
    """With its path relative to `base` where it lies below."""
    path = Path(finding.file)
    return replace(finding, file=path.relative_to(base).as_posix()) if path.is_relative_to(base) else finding
