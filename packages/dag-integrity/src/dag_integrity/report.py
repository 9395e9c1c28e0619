"""The report, in the formats that people and CI systems read."""

from __future__ import annotations

import json
from collections import Counter
from itertools import groupby
from typing import Any, Literal
from xml.etree import ElementTree

from rich.console import Console
from rich.text import Text

from dag_integrity.findings import Finding
from dag_integrity.rules import RANK, RULES

Format = Literal["text", "json", "junit", "sarif", "gitlab"]
COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}
GITLAB = {"error": "critical", "warning": "minor", "info": "info"}
SARIF = {"error": "error", "warning": "warning", "info": "note"}


def as_json(findings: list[Finding]) -> str:
    """An array of {rule, severity, file, line, dag_id, message, fix}."""
    return json.dumps([_entry(finding) for finding in findings], indent=2) + "\n"


def _entry(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "file": finding.file,
        "line": finding.line,
        "dag_id": finding.dag_id,
        "message": finding.message,
        "fix": finding.fix,
    }


def as_gitlab(findings: list[Finding]) -> str:
    """GitLab's code quality report: https://docs.gitlab.com/ci/testing/code_quality/."""
    return json.dumps([
        {
            "description": f"{finding.rule} {_of_dag(finding)}{finding.message}. {finding.fix}",
            "check_name": f"{finding.rule} {RULES[finding.rule].name}",
            "fingerprint": fingerprint,
            "severity": GITLAB[finding.severity],
            "location": {"path": finding.file, "lines": {"begin": finding.line}},
        }
        for finding, fingerprint in _fingerprints(findings)
    ], indent=2) + "\n"  # fmt: skip


def as_sarif(findings: list[Finding], version: str) -> str:
    """SARIF 2.1.0, as GitHub's code scanning and many editors read it."""
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
            "message": {"text": f"{_of_dag(finding)}{finding.message}. {finding.fix}"},
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
    driver = {"name": "answers integrity", "version": version, "rules": rules}
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    document = {"$schema": schema, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
    return json.dumps(document, indent=2) + "\n"


def _uri(file: str) -> str:
    from urllib.parse import quote

    return f"file://{quote(file)}" if file.startswith("/") else quote(file)


def as_junit(findings: list[Finding], files: int) -> str:
    """JUnit XML: a test suite a file, a failed test case a finding, and one that passes when there is none."""
    suites = ElementTree.Element(
        "testsuites", name="answers integrity", tests=str(len(findings) or 1), failures=str(len(findings))
    )
    for file, group in groupby(findings, key=lambda finding: finding.file):
        found = list(group)
        suite = ElementTree.SubElement(
            suites, "testsuite", name=file, tests=str(len(found)), failures=str(len(found)), errors="0"
        )
        for finding in found:
            name = f"{finding.rule} {RULES[finding.rule].name}, line {finding.line}"
            case = ElementTree.SubElement(
                suite, "testcase", name=name, classname=file, file=file, line=str(finding.line)
            )
            failure = ElementTree.SubElement(case, "failure", type=finding.severity, message=_legal(finding.message))
            failure.text = _legal(f"{file}:{finding.line}: {_of_dag(finding)}{finding.message}\n{finding.fix}")
    if not findings:
        suite = ElementTree.SubElement(suites, "testsuite", name="dags", tests="1", failures="0", errors="0")
        ElementTree.SubElement(suite, "testcase", name=f"{files} files", classname="answers.integrity")
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _legal(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "?" for c in text
    )


def write_text(
    console: Console, findings: list[Finding], files: int, seconds: float, only_summary: bool = False
) -> None:
    """For people: by file, with the fix of each rule once, and a summary as the last line."""
    if not only_summary:
        for file, group in groupby(findings, key=lambda finding: finding.file):
            console.print(Text(file, style="bold"), soft_wrap=True)
            for finding in group:
                line = Text(f"  {finding.line:>4}  ")
                line.append(f"{finding.rule} {finding.severity:<7}", style=COLOURS[finding.severity])
                line.append(f"  {_of_dag(finding)}{finding.message}")
                console.print(line, soft_wrap=True)
            console.print()
        if findings:
            console.print(Text("What to do", style="bold"))
            for rule in sorted({finding.rule for finding in findings}):
                console.print(Text(f"  {rule} {RULES[rule].name}: {RULES[rule].why} {RULES[rule].fix}"), soft_wrap=True)
            console.print()
    console.print(Text(summary(findings, files, seconds)), soft_wrap=True)


def summary(findings: list[Finding], files: int, seconds: float) -> str:
    """One line."""
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
