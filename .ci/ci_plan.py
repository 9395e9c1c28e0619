"""Decides what .ci/run has time for: `ci_plan.py FOLDER TIER`, before each tier.

`ci_plan.py FOLDER tickets` prints the minutes that the proof of tickets may take, 0 for no limit.

FOLDER has machine.json (ci_machine.py), began (seconds since 1970), and ci-steps.tsv: name and seconds of each step that is
over. CI_MINUTES is what all of it may take; 0 leaves nothing out. Writes FOLDER/plan.json, which
tests/support/time_plan.py follows, and tells what is left out by name.
"""

import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ci_machine import Machine

PROJECT = Path(__file__).resolve().parents[1]
EXPECTED = PROJECT / ".ci/expected.json"
TIERS = ("fast", "stack", "compose")  # cheapest first
WORKERS = {"fast": 2, "stack": 2, "compose": 1}
# How much of a tier is waiting: for heartbeats, retries, intervals. A slower machine waits no longer for them. An estimate.
WAITING = {"lint": 0.0, "fast": 0.1, "stack": 0.4, "compose": 0.4}
MINUTES = 90.0
RESERVE = 4 * 60.0  # to remove the containers and to tell the result
TIGHT = 0.75  # of the seconds that are left
TICKETS = 8 * 60.0  # at most, for the tickets that a push touches; the night proves all
LONG_ENOUGH = 60.0  # a step that is shorter says little about the machine


@dataclass(frozen=True)
class Part:
    """A file of tests: what it takes on the usual machine, and the claims that it proves."""

    file: str
    tier: str
    seconds: float
    claims: frozenset[str] = frozenset()


@dataclass
class Plan:
    """Holds what is run of the tiers that are not over, and what is left out."""

    slowness: float
    deadline: float | None
    predicted: float = 0.0  # seconds, of what is run
    tight: bool = False  # time may run out on the way
    everything: float = 0.0  # seconds, had nothing to be left out
    left_out: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)  # by file, as predicted for here


@dataclass(frozen=True)
class Expected:
    """Seconds on the usual machine: of what a tier takes beside its tests, and of each file of tests."""

    steps: dict[str, float]
    files: dict[str, float]

    @classmethod
    def load(cls, path: Path = EXPECTED) -> "Expected":
        """Read the recorded seconds."""
        found = json.loads(path.read_text())
        return cls(found["steps"], found["files"])

    def whole(self, tier: str) -> float:
        """Return the seconds of a whole tier."""
        if tier not in TIERS:
            return self.steps.get(tier, 0.0)
        return self.steps[tier] + sum(s for file, s in self.files.items() if tier_of(file) == tier) / WORKERS[tier]


def tier_of(file: str) -> str:
    """Return the tier that a file of tests belongs to."""
    return next((tier for tier in ("stack", "compose") if file.startswith(f"tests/{tier}/")), "fast")


def seconds_here(seconds: float, tier: str, slowness: float) -> float:
    """Return what takes `seconds` on the usual machine, here."""
    return seconds * (WAITING[tier] + (1 - WAITING[tier]) * slowness)


def observed_slowness(steps: Iterable[tuple[str, float]], expected: Expected, measured: float) -> float:
    """Return how slow this machine is: as the last telling step was, else as was measured before the first one."""
    slowness = measured
    for name, took in steps:
        if name in WAITING and (wanted := expected.whole(name)) >= LONG_ENOUGH:
            slowness = max(0.5, (took / wanted - WAITING[name]) / (1 - WAITING[name]))
    return slowness


def choose_parts(parts: list[Part], expected: Expected, slowness: float, left: float | None) -> Plan:
    """Return what to run in the seconds that are left; everything where `left` is None.

    The fast tier is always whole: each claim has a test there. Of the live tiers come first the files that show the most
    claims live a second, so that each claim is shown live once; then the others, the cheapest first.
    """
    plan = Plan(slowness, None, seconds={part.file: seconds_here(part.seconds, part.tier, slowness) for part in parts})
    begun: set[str] = set()

    def cost(part: Part) -> float:
        start = 0.0 if part.tier in begun else seconds_here(expected.steps[part.tier], part.tier, slowness)
        return start + plan.seconds[part.file] / WORKERS[part.tier]

    def take(part: Part) -> None:
        plan.predicted += cost(part)
        begun.add(part.tier)

    plan.everything = sum(
        seconds_here(expected.steps[tier], tier, slowness)
        + sum(plan.seconds[part.file] for part in parts if part.tier == tier) / WORKERS[tier]
        for tier in {part.tier for part in parts}
    )
    for part in (part for part in parts if part.tier == "fast"):
        take(part)
    if left is None or plan.everything <= left:
        plan.predicted = plan.everything
        return plan
    waiting = [part for part in parts if part.tier != "fast"]
    shown: set[str] = set()
    while waiting:
        best = max(waiting, key=lambda part: (len(part.claims - shown) / max(cost(part), 0.1), -cost(part)))
        waiting.remove(best)
        if plan.predicted + cost(best) > left:
            plan.left_out.append(best.file)
        else:
            take(best)
            shown |= best.claims
    return plan


def claims_by_file() -> dict[str, frozenset[str]]:
    """Return the claims that the tests of each file carry, those of `make test-long` not counted."""
    from answers.proof.anchors import claimed_tests

    found: dict[str, set[str]] = {}
    for test in (test for test in claimed_tests(PROJECT) if not test.long):
        found.setdefault(test.file, set()).add(test.claim)
    return {file: frozenset(claims) for file, claims in found.items()}


def parts_of(tiers: Iterable[str], expected: Expected, claims: dict[str, frozenset[str]]) -> list[Part]:
    """Return every file of tests of these tiers. A file that nobody has timed is taken for an average one of its tier."""
    found = [*(PROJECT / "tests").glob("*/test_*.py"), *(PROJECT / "packages").glob("*/tests/test_*.py")]
    files = sorted(file.relative_to(PROJECT).as_posix() for file in found)
    parts = []
    for tier in tiers:
        known = [seconds for file, seconds in expected.files.items() if tier_of(file) == tier]
        average = sum(known) / max(len(known), 1)
        parts += [
            Part(file, tier, expected.files.get(file, average), claims.get(file, frozenset()))
            for file in files
            if tier_of(file) == tier and "/kubernetes/" not in file
        ]
    return parts


def read_steps(file: Path) -> list[tuple[str, float]]:
    """Return the steps that are over, with their seconds."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [(name, float(seconds)) for name, _, seconds in (line.partition("\t") for line in lines)]


def describe_plan(plan: Plan, tier: str, left: float | None) -> str:
    """Return what the log says before a tier: what is expected, and loudly what is left out."""
    limit = "no limit" if left is None else f"{left / 60:.0f} minutes are left"
    lines = [
        f"ci: work takes {plan.slowness:.1f} times as long as on the usual machine: from {tier} on "
        f"{plan.everything / 60:.0f} minutes, {limit}"
    ]
    if plan.left_out:
        lines += [
            f"ci: NOT ENOUGH TIME: {len(plan.left_out)} files of tests are LEFT OUT (CI_MINUTES=0 runs everything):",
            *(f"ci:   left out: {file}" for file in sorted(plan.left_out)),
        ]
    return "\n".join(lines)


def end_of(folder: Path) -> float | None:
    """Return when all has to be over, seconds since 1970; None where there is no limit."""
    minutes = float(os.environ.get("CI_MINUTES") or MINUTES)
    return float((folder / "began").read_text()) + minutes * 60 - RESERVE if minutes else None


def minutes_for_tickets(folder: Path, now: float) -> float:
    """Return what the proof of the touched tickets may take; 0 for no limit, as CI_MINUTES has it."""
    end = end_of(folder)
    return 0 if end is None else round(max(1.0, min(TICKETS, end - now)) / 60, 2)


def main(folder: Path, tier: str) -> int:
    """Plan from `tier` on; 3 when there is time for nothing of it."""
    if tier == "tickets":
        print(minutes_for_tickets(folder, time.time()))
        return 0
    expected = Expected.load()
    steps = read_steps(folder / "ci-steps.tsv")
    measured = Machine(**json.loads((folder / "machine.json").read_text())).slowness
    end = end_of(folder)
    left = None if end is None else end - time.time()
    parts = parts_of(TIERS[TIERS.index(tier) :], expected, claims_by_file())
    plan = choose_parts(parts, expected, observed_slowness(steps, expected, measured), left)
    plan.deadline = end
    plan.tight = left is not None and plan.everything > TIGHT * left
    (folder / "plan.json").write_text(json.dumps(asdict(plan)))
    print(describe_plan(plan, tier, left))
    return 3 if {part.file for part in parts if part.tier == tier} <= set(plan.left_out) else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
