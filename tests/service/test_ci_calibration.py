"""Measures this machine as .ci/run does, and runs tests under a plan."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ci_machine
import ci_verdict
from support import PROJECT


def test_the_calibration_tells_what_this_machine_gives():
    command = [sys.executable, "-I", ".ci/ci_machine.py", "--loop"]
    cpu, share = json.loads(subprocess.run(command, cwd=PROJECT, capture_output=True, check=True).stdout)
    assert cpu > 0
    assert 0 < share <= 1.1
    assert ci_machine.Machine(ci_machine.REFERENCE_CPU_SECONDS, 16.0).slowness == 1.0, "the tests use two processors"
    throttled = ci_machine.Machine(ci_machine.REFERENCE_CPU_SECONDS * 1.5, 1.0)
    assert throttled.slowness == pytest.approx(3.0)
    assert "3.0 times as long" in throttled.described()


def run_with(plan: dict, folder: Path, *tests: str) -> ci_verdict.Ran:
    """Run tests of this project under a plan: what their report says."""
    file, report = folder / "plan.json", folder / "junit.xml"
    file.write_text(json.dumps({"left_out": [], "tight": False, "deadline": None, "seconds": {}} | plan))
    spread = re.search(r"^SPREAD := (.*)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)[1]
    command = [sys.executable, "-m", "pytest", *tests, "-q", *spread.split(), "-p", "no:cacheprovider"]
    command += [f"--time-plan={file}", f"--junitxml={report}"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    return ci_verdict.Ran.read([report])


RUNS, LEFT = "tests/unit/test_fleet_model.py", "tests/unit/test_seams.py"  # of claims 4.1 and 9.2, done in a second


@pytest.mark.claim("9.4")
def test_a_file_that_is_left_out_is_skipped_by_name_and_its_claims_are_missed(tmp_path):
    ran = run_with({"left_out": [LEFT]}, tmp_path, RUNS, LEFT)
    assert ran.claims["4.1"] > 0
    assert ran.claims["9.2"] == 0
    assert ran.left_out
    assert {name.partition("::")[0] for name in ran.left_out} == {"tests.unit.test_seams"}
    lines, good = ci_verdict.verdict(ran, ["4.1", "9.2"])
    assert not good
    assert "no test of these claims ran: 9.2" in lines[-1]
    assert all(any(name in line for line in lines) for name in ran.left_out)
    assert ci_verdict.verdict(ran, ["4.1"])[1], "left out is told, and no failure as long as each claim is shown"


@pytest.mark.claim("9.4")
def test_when_time_runs_out_a_file_that_cannot_be_done_is_left_out_and_a_short_one_is_not(tmp_path):
    ran = run_with({"deadline": time.time() + 300, "seconds": {LEFT: 400.0, RUNS: 1.0}}, tmp_path, RUNS, LEFT)
    assert ran.claims["4.1"] > 0
    assert ran.claims["9.2"] == 0
    assert set(ran.left_out.values()) == {"time has run out, its file needs 400 s"}
