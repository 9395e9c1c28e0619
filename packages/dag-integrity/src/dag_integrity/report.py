"""Writes the report in the formats that people and CI systems read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import StringIO
from itertools import groupby
from typing import Any
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dag_integrity.findings import Finding
from dag_integrity.rules import RANK, RULES, Rule, Severity

COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}
GITLAB = {"error": "critical", "warning": "minor", "info": "info"}
SARIF = {"error": "error", "warning": "warning", "info": "note"}


def as_json(findings: list[Finding]) -> str:
    """Return an array of {rule, severity, file, line, dag_id, message, fix, lines}: `lines` are all places of one finding."""
    return json.dumps([_entry(finding) for finding in findings], indent=2) + "\n"


def _entry(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "file": finding.file,
        "line": finding.line,
        "dag_id": finding.dag_id,
        "message": finding.text,
        "fix": finding.fix,
        "lines": [finding.line, *finding.also],
    }


def as_gitlab(findings: list[Finding]) -> str:
    """Write GitLab's code quality report: https://docs.gitlab.com/ci/testing/code_quality/."""
    return json.dumps([
        {
            "description": f"{finding.rule} {_of_dag(finding)}{finding.text}. {finding.fix}",
            "check_name": f"{finding.rule} {RULES[finding.rule].name}",
            "fingerprint": fingerprint,
            "severity": GITLAB[finding.severity],
            "location": {"path": finding.file, "lines": {"begin": finding.line}},
        }
        for finding, fingerprint in _fingerprints(findings)
    ], indent=2) + "\n"  # fmt: skip


def as_sarif(findings: list[Finding], version: str) -> str:
    """Write SARIF 2.1.0, as GitHub's code scanning and many editors read it."""
    rules = [
        {
            "id": rule.id,
            "name": "".join(word.capitalize() for word in rule.name.split("-")),
            "shortDescription": {"text": rule.name.replace("-", " ")},
            "fullDescription": {"text": rule.why},
            "help": {"text": rule.fix},
            "defaultConfiguration": {"level": SARIF[rule.severity]},
        }
        for rule in RULES.values()
    ]
    index = {rule_id: number for number, rule_id in enumerate(RULES)}
    results = [
        {
            "ruleId": finding.rule,
            "ruleIndex": index[finding.rule],
            "level": SARIF[finding.severity],
            "message": {"text": f"{_of_dag(finding)}{finding.text}. {finding.fix}"},
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(finding.file)},
                    "region": {"startLine": finding.line},
                }
            }],
            "partialFingerprints": {"integrity/v1": fingerprint},
        }
        for finding, fingerprint in _fingerprints(findings)
    ]  # fmt: skip
    driver = {"name": "dag-integrity", "version": version, "rules": rules}
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    document = {"$schema": schema, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
    return json.dumps(document, indent=2) + "\n"


def _uri(file: str) -> str:
    from urllib.parse import quote

    return f"file://{quote(file)}" if file.startswith("/") else quote(file)


def as_junit(findings: list[Finding], files: int) -> str:
    """Write JUnit XML: a test suite per file, a failed test case per finding, and one that passes when there is none."""
    suites = ElementTree.Element(
        "testsuites", name="dag-integrity", tests=str(len(findings) or 1), failures=str(len(findings))
    )
    for file, group in groupby(sorted(findings), key=lambda finding: finding.file):
        found = list(group)
        suite = ElementTree.SubElement(
            suites, "testsuite", name=file, tests=str(len(found)), failures=str(len(found)), errors="0"
        )
        for finding in found:
            name = f"{finding.rule} {RULES[finding.rule].name}, line {finding.line}"
            case = ElementTree.SubElement(
                suite, "testcase", name=name, classname=file, file=file, line=str(finding.line)
            )
            failure = ElementTree.SubElement(case, "failure", type=finding.severity, message=_legal(finding.text))
            failure.text = _legal(f"{file}:{finding.line}: {_of_dag(finding)}{finding.text}\n{finding.fix}")
    if not findings:
        suite = ElementTree.SubElement(suites, "testsuite", name="dags", tests="1", failures="0", errors="0")
        ElementTree.SubElement(suite, "testcase", name=f"{files} files", classname="dag_integrity")
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _legal(text: str) -> str:
    """Remove the characters that XML cannot hold."""
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "?" for c in text
    )


def as_format(fmt: str, report: Report, version: str) -> str:
    """Return the report in one of the formats for programs."""
    if fmt == "json":
        return as_json(report.findings)
    if fmt == "sarif":
        return as_sarif(report.findings, version)
    if fmt == "junit":
        return as_junit(report.findings, report.files)
    return as_gitlab(report.findings)


@dataclass
class Report:
    """Holds what a person is told: findings in the order in which they matter, by rule, and a summary as the last line."""

    findings: list[Finding]
    """Those that block first."""
    files: int
    seconds: float
    fail_on: Severity = "warning"
    notes: list[str] = field(default_factory=list)
    """Which findings are not shown, and why."""

    def print(self, console: Console, lines: int | None) -> None:
        """Write to a console.

        :param lines: the most that a screen takes; None for everything
        """
        by_rule = self._by_rule(console)
        room = len(self.findings)
        if lines is not None and len(self.findings) + len(by_rule) + 6 > lines:
            by_rule = by_rule[: max(lines // 2 - 4, 3)]
            room = max(lines - len(by_rule) - 6, 3)
        for finding in self.findings[:room]:
            console.print(self._line(finding), soft_wrap=True)
        if (hidden := len(self.findings) - room) > 0:
            console.print(Text(f"... and {hidden:,} more: --all shows them", style="bold"), soft_wrap=True)
        if self.findings:
            console.print()
            for text in by_rule:
                console.print(text, soft_wrap=True)
            console.print(Text("--explain RULE tells why a rule is there and what to do.", style="dim"), soft_wrap=True)
        self.print_summary(console)

    def print_summary(self, console: Console) -> None:
        """Write the last lines alone, for a report that went to a file."""
        for note in self.notes:
            console.print(Text(note), soft_wrap=True)
        console.print(Text(summary(self.findings, self.files, self.seconds)), soft_wrap=True)

    def plain(self) -> str:
        """Write everything as text without colours."""
        buffer = StringIO()
        self.print(Console(file=buffer, highlight=False, color_system=None, width=200), None)
        return buffer.getvalue()

    @staticmethod
    def _line(finding: Finding) -> Text:
        line = Text(f"{finding.file}:{finding.line}  ")
        line.append(f"{finding.rule} {finding.severity}", style=COLOURS[finding.severity])
        line.append(f"  {_of_dag(finding)}{finding.text}")
        return line

    def _by_rule(self, console: Console) -> list[Text]:
        """Write one line per rule: those that block first, then the most frequent."""
        groups: dict[tuple[str, Severity], set[str]] = {}
        counts: Counter[tuple[str, Severity]] = Counter()
        for finding in self.findings:
            key = (finding.rule, finding.severity)
            counts[key] += 1
            groups.setdefault(key, set()).add(finding.file)
        lines = []
        for key in sorted(counts, key=lambda key: (-RANK[key[1]], -counts[key], key[0])):
            rule, severity = key
            files = len(groups[key])
            line = Text(f"{counts[key]:>6} ")
            line.append(f"{rule} {severity:<7}", style=COLOURS[severity])
            line.append(f"  {RULES[rule].name}, in {files} file{'s' if files > 1 else ''}: {RULES[rule].fix}")
            if console.is_terminal:
                line.truncate(max(console.width, 60), overflow="ellipsis")
            lines.append(line)
        return lines


def summary(findings: list[Finding], files: int, seconds: float) -> str:
    """Write the summary, one line."""
    counts = Counter(finding.severity for finding in findings)
    parts = [
        f"{counts[each]} {each}{'s' if counts[each] != 1 else ''}" for each in sorted(RANK, key=lambda s: -RANK[s])
    ]
    what = ", ".join(parts) if findings else "no findings"
    return f"{files} DAG file{'s' if files != 1 else ''} in {seconds:.1f} s: {what}"


def _of_dag(finding: Finding) -> str:
    return f"{finding.dag_id}: " if finding.dag_id else ""


def _fingerprints(findings: list[Finding]) -> list[tuple[Finding, str]]:
    seen: Counter[str] = Counter()
    result = []
    for finding in findings:
        base = finding.fingerprint()
        result.append((finding, finding.fingerprint(seen[base]) if seen[base] else base))
        seen[base] += 1
    return result


def list_rules(console: Console, rules: Iterable[Rule]) -> None:
    """Write a table of rules."""
    table = Table("rule", "severity", "name", "why", box=None)
    for rule in rules:
        table.add_row(rule.id, rule.severity, rule.name, rule.why)
    console.print(table)


def explain(console: Console, rules: Iterable[Rule]) -> None:
    """Write all that is known of each rule."""
    for rule in rules:
        head = Text(f"{rule.id} {rule.name} ", style="bold")
        head.append(rule.severity, style=COLOURS[rule.severity])
        console.print(head)
        console.print(Text(f"  Why: {rule.why}"), soft_wrap=True)
        console.print(Text(f"  What to do: {rule.fix}"), soft_wrap=True)
        text = f"  To accept it: a comment `# integrity: ignore[{rule.id}]` on the line, or on that of the DAG for all of the DAG"
        console.print(Text(text), soft_wrap=True)


def rules_as_markdown(rules: Iterable[Rule]) -> str:
    """Return the table of the README."""
    rows = [f"| {rule.id} | {rule.name} | {rule.severity} | {rule.why} | {rule.fix} |" for rule in rules]
    return "\n".join(["| id | name | severity | why | fix |", "|---|---|---|---|---|", *rows])
