"""Prints one pytest closing line over several JUnit reports: `closing_line.py SECONDS REPORT...`.

Standard library only. Counted from the reports and not from what was printed: a step that wrote none adds nothing.
"""

import sys
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

KINDS = {"failures": "failed", "passed": "passed", "skipped": "skipped", "errors": "errors"}


def main() -> None:
    """Sum the counts of all test suites."""
    counts = dict.fromkeys(KINDS, 0)
    for report in filter(Path.exists, map(Path, sys.argv[2:])):
        for suite in ElementTree.parse(report).iter("testsuite"):  # noqa: S314  # our own files
            found = {kind: int(suite.get(kind, 0)) for kind in KINDS if kind != "passed"}
            found["passed"] = int(suite.get("tests", 0)) - sum(found.values())
            counts = {kind: counts[kind] + found[kind] for kind in KINDS}
    seconds = int(sys.argv[1])
    told = ", ".join(f"{counts[kind]} {word}" for kind, word in KINDS.items() if counts[kind]) or "no tests ran"
    print(f" {told} in {seconds}.00s ({timedelta(seconds=seconds)}) ".center(80, "="))


if __name__ == "__main__":
    main()
