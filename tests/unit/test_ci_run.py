"""Tells what .ci/run leaves out on a slow machine, and when it is green all the same."""

import json
import time
from pathlib import Path

import pytest

import ci_machine
import ci_plan
import ci_record
import ci_verdict
from ci_plan import Expected, Part
from support import time_plan

MINUTE = 60.0
EXPECTED = Expected(
    steps={"lint": MINUTE, "fast": 0, "stack": MINUTE, "compose": 4 * MINUTE},
    files={
        "tests/unit/test_a.py": 16 * MINUTE,
        "tests/stack/test_b.py": 20 * MINUTE,
        "tests/compose/test_c.py": 10 * MINUTE,
    },
)
FAST = Part("tests/unit/test_a.py", "fast", 16 * MINUTE, frozenset({"1.1", "1.2"}))
LIVE = [
    Part("tests/stack/test_cheap.py", "stack", 4 * MINUTE, frozenset({"1.1"})),
    Part("tests/stack/test_again.py", "stack", 3 * MINUTE, frozenset({"1.1"})),
    Part("tests/stack/test_dear.py", "stack", 20 * MINUTE, frozenset({"1.2"})),
    Part("tests/compose/test_only.py", "compose", 2 * MINUTE, frozenset({"1.3"})),
    Part("tests/compose/test_long.py", "compose", 30 * MINUTE, frozenset({"1.1", "1.2"})),
]
ALL = [FAST, *LIVE]


def test_everything_runs_where_there_is_time_for_it():
    whole = ci_plan.choose_parts(ALL, EXPECTED, 1.0, 90 * MINUTE)
    assert whole.left_out == []
    # 16 and 27 minutes by two processes, 32 by one, and what starting the stacks takes
    assert whole.predicted == whole.everything == (8 + 13.5 + 32 + 1 + 4) * MINUTE


def test_without_a_limit_nothing_is_left_out_however_slow_the_machine_is():
    assert ci_plan.choose_parts(ALL, EXPECTED, 50.0, None).left_out == []


@pytest.mark.parametrize("minutes", [0, 15, 20, 30, 45, 57])
def test_what_runs_fits_and_the_fast_tier_always_runs(minutes):
    plan = ci_plan.choose_parts(ALL, EXPECTED, 1.0, minutes * MINUTE)
    assert plan.left_out
    assert FAST.file not in plan.left_out
    assert plan.predicted <= max(minutes, 8) * MINUTE


@pytest.mark.claim("9.4")
def test_a_claim_that_is_not_shown_live_yet_comes_before_a_second_proof():
    plan = ci_plan.choose_parts(ALL, EXPECTED, 1.0, 28 * MINUTE)
    # 8 of the fast tier, 1 + 2 or 1.5 of the stack, 10 of the dear file, 4 + 2 of compose
    assert set(plan.left_out) == {"tests/compose/test_long.py", "tests/stack/test_cheap.py"}


def test_a_slower_machine_is_expected_to_work_longer_and_to_wait_as_long():
    waiting = ci_plan.WAITING["stack"]
    assert ci_plan.seconds_here(100, "stack", 3.0) == pytest.approx(100 * waiting + 300 * (1 - waiting))
    assert ci_plan.seconds_here(100, "lint", 3.0) == 300


def test_what_a_step_took_counts_more_than_what_was_measured_at_the_start():
    assert ci_plan.observed_slowness([], EXPECTED, 2.0) == 2.0
    assert ci_plan.observed_slowness([("tools", 900.0)], EXPECTED, 2.0) == 2.0
    assert ci_plan.observed_slowness([("lint", 3 * MINUTE)], EXPECTED, 2.0) == pytest.approx(3.0)
    took = ci_plan.seconds_here(EXPECTED.whole("fast"), "fast", 1.5)
    assert ci_plan.observed_slowness([("lint", 3 * MINUTE), ("fast", took)], EXPECTED, 2.0) == pytest.approx(1.5)


@pytest.fixture
def plan_file(tmp_path, monkeypatch, capsys):
    """Plan as .ci/run does: (exit code, what is told, the plan)."""

    def plan(tier: str, cpu_seconds: float, minutes: str) -> tuple[int, str, dict]:
        (tmp_path / "began").write_text(str(time.time()))
        (tmp_path / "machine.json").write_text(json.dumps({"cpu_seconds": cpu_seconds, "cpus": 2.0}))
        monkeypatch.setenv("CI_MINUTES", minutes)
        code = ci_plan.main(tmp_path, tier)
        return code, capsys.readouterr().out, json.loads((tmp_path / "plan.json").read_text())

    return plan


def test_on_the_usual_machine_all_of_it_fits(plan_file):
    code, told, plan = plan_file("fast", ci_machine.REFERENCE_CPU_SECONDS, "")
    assert (code, plan["left_out"]) == (0, []), told
    assert "LEFT OUT" not in told
    assert not plan["tight"]


@pytest.mark.claim("9.4")
def test_on_a_machine_that_is_too_slow_it_is_told_loudly_and_by_name_what_is_left_out(plan_file):
    code, told, plan = plan_file("stack", 8 * ci_machine.REFERENCE_CPU_SECONDS, "6")
    assert code == 3, "there is time for nothing of this tier"
    assert len(plan["left_out"]) >= 15
    assert f"{len(plan['left_out'])} files of tests are LEFT OUT" in told
    assert all(f"left out: {file}" in told for file in plan["left_out"])
    code, told, plan = plan_file("stack", 8 * ci_machine.REFERENCE_CPU_SECONDS, "0")
    assert (code, plan["left_out"], plan["deadline"]) == (0, [], None)


def test_a_test_file_that_is_not_timed_counts_as_the_average_of_its_tier():
    timed = Expected.load()
    parts = {part.file: part for part in ci_plan.parts_of(ci_plan.TIERS, timed, ci_plan.claims_by_file())}
    assert timed.files.keys() <= parts.keys()
    assert timed.steps.keys() == {"lint", *ci_plan.TIERS}
    some = dict.fromkeys(("tests/stack/test_q01_stack.py", "tests/stack/test_q02_stack.py"), 100.0)
    parts = {part.file: part for part in ci_plan.parts_of(["stack"], Expected(timed.steps, some), {})}
    assert len(parts) > len(some)
    assert {part.seconds for part in parts.values()} == {100.0}


# -- The tests follow the plan, and the reports say what ran


def report(folder: Path, tier: str, *cases: str) -> None:
    text = "".join(f'<testcase classname="tests.{tier}.test_{case}</testcase>' for case in cases)
    (folder / f"junit-{tier}.xml").write_text(f"<testsuites><testsuite>{text}</testsuite></testsuites>")


def test_a_whole_run_is_recorded_and_one_that_left_tests_out_is_not(tmp_path):
    (tmp_path / "ci-steps.tsv").write_text("tools\t1\nlint\t50\nfast\t40\nstack\t100\ncompose\t300\n")
    report(tmp_path, "fast", 'a" name="one" time="30.5">', 'a" name="two" time="29.5">')
    report(tmp_path, "stack", 'b" name="one" time="150">')
    report(tmp_path, "compose", 'c" name="one" time="200">')
    assert ci_record.expected_of(tmp_path) == {
        "steps": {"lint": 50, "fast": 40, "stack": 25, "compose": 100},
        "files": {"tests/stack/test_b.py": 150.0, "tests/compose/test_c.py": 200.0},
    }
    report(tmp_path, "compose", f'c" name="one" time="0"><skipped message="{time_plan.LEFT_OUT}no time"/>')
    with pytest.raises(SystemExit, match="left 1 tests out"):
        ci_record.expected_of(tmp_path)


def test_a_report_that_is_missing_is_no_proof(tmp_path):
    assert ci_verdict.main([tmp_path / "junit-fast.xml"]) == 1


@pytest.mark.parametrize(
    ("minutes", "gone", "wanted"), [("90", 0, 8.0), ("90", 84, 2.0), ("90", 200, 0.02), ("0", 200, 0)]
)
def test_the_tickets_that_a_push_touches_are_proven_in_the_time_that_is_left(
    tmp_path, monkeypatch, minutes, gone, wanted
):
    monkeypatch.setenv("CI_MINUTES", minutes)
    (tmp_path / "began").write_text("1000")
    assert ci_plan.minutes_for_tickets(tmp_path, 1000 + gone * MINUTE) == wanted
