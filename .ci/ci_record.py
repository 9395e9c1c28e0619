"""Records what a whole run of .ci/run took into expected.json: `ci_record.py results`, on the usual machine with nothing beside.

Reads the JUnit reports and ci-steps.tsv that the run left in the folder. Refuses a run that left tests out.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

from ci_plan import EXPECTED, TIERS, WORKERS, read_steps, tier_of
from ci_verdict import Ran


def seconds_by_file(reports: list[Path]) -> dict[str, float]:
    """Return the seconds of each file of live tests, fixtures included. The fast tier is always run as a whole."""
    found: defaultdict[str, float] = defaultdict(float)
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  # our own files
            found[case.get("classname", "").replace(".", "/") + ".py"] += float(case.get("time", 0))
    return {file: round(seconds, 1) for file, seconds in sorted(found.items()) if tier_of(file) != "fast"}


def expected_of(folder: Path) -> dict[str, object]:
    """Return what expected.json is to say after this run."""
    reports = [folder / f"junit-{tier}.xml" for tier in TIERS]
    if left_out := Ran.read(reports).left_out:
        raise SystemExit(f"ci: this run left {len(left_out)} tests out, record a whole one")
    steps, files = dict(read_steps(folder / "ci-steps.tsv")), seconds_by_file(reports)
    beside = {
        tier: max(0.0, steps[tier] - sum(s for file, s in files.items() if tier_of(file) == tier) / WORKERS[tier])
        for tier in TIERS
    }
    return {"steps": {"lint": steps["lint"]} | {tier: round(each) for tier, each in beside.items()}, "files": files}


if __name__ == "__main__":
    EXPECTED.write_text(json.dumps(expected_of(Path(sys.argv[1])), indent=2) + "\n")
