"""Says after all tiers whether each claim had a test that ran: `ci_verdict.py REPORT...`, JUnit reports of tests/conftest.py.

Exit code 1 where a claim had none, or where no report is there. What was left out is told by name.
"""

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

LEFT_OUT = "left out: "  # as tests/support/time_plan.py says it


@dataclass
class Ran:
    """Holds what the reports say: how many tests ran for each claim, and which tests were left out, by reason."""

    claims: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, reports: Iterable[Path]) -> "Ran":
        """Read JUnit reports; each test has its claims as properties. A test that was skipped did not run."""
        ran = cls()
        for report in reports:
            for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  # our own files
                skipped = case.find("skipped")
                if skipped is None:
                    ran.claims.update(
                        each.get("value", "") for each in case.iter("property") if each.get("name") == "claim"
                    )
                elif LEFT_OUT in (message := skipped.get("message", "")):
                    name = f"{case.get('classname')}::{case.get('name', '').partition('@')[0]}"
                    ran.left_out[name] = message.partition(LEFT_OUT)[2]
        return ran


def verdict(ran: Ran, claims: list[str]) -> tuple[list[str], bool]:
    """Return (lines for the log, whether each of the claims had a test that ran)."""
    lines = []
    if ran.left_out:
        lines.append(f"ci: {len(ran.left_out)} tests were LEFT OUT:")
        lines += [f"ci:   {name}: {reason}" for name, reason in sorted(ran.left_out.items())]
    bare = [claim for claim in claims if not ran.claims[claim]]
    if bare:
        lines.append(f"ci: NOT PROVEN, no test of these claims ran: {', '.join(bare)}")
    else:
        lines.append(f"ci: each of the {len(claims)} claims had a test that ran")
    return lines, not bare


def main(reports: list[Path]) -> int:
    """Tell the verdict over the catalogue's claims."""
    from answers.proof.catalog import load_questions

    if missing := [str(report) for report in reports if not report.exists()]:
        print(f"ci: NOT PROVEN, no report: {', '.join(missing)}")
        return 1
    claims = [claim.id for question in load_questions() if question.answered for claim in question.claims]
    lines, good = verdict(Ran.read(reports), claims)
    print("\n".join(lines))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main([Path(argument) for argument in sys.argv[1:]]))
