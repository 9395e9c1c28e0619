"""SLA compliance: a pure function over records, against histories whose answer is known by construction."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers.operate.sla_judge import (
    ALL,
    COUNTED,
    FAILED,
    LATE,
    MISSING,
    ON_TIME,
    PENDING,
    Run,
    Slot,
    compliance,
    judge,
)
from include.flights.days import ZONE
from support import interval

DAG = "report"
WITHIN = timedelta(minutes=30)
NOW = datetime(2014, 3, 1, tzinfo=UTC)


def slot(day: str, dag: str = DAG) -> Slot:
    return Slot(dag, *interval(day))


def run(of: Slot, after: float | None, state: str = "success", name: str = "scheduled", **changes) -> Run:
    """A run that ended `after` minutes after its interval's end (None: not at all)."""
    ended = None if after is None else of.end + timedelta(minutes=after)
    return Run(
        **(
            {"dag_id": of.dag_id, "run_id": name, "start": of.start, "due": of.end, "state": state, "ended": ended}
            | changes
        )
    )


def verdict(runs: list[Run], now: datetime = NOW, of: Slot | None = None) -> str:
    (judged,) = judge([of or slot("2013-06-13")], runs, {DAG: WITHIN}, now)
    return judged.verdict


@pytest.mark.claim("2.6")
@pytest.mark.parametrize("seed", range(5))
def test_a_history_of_300_runs_with_known_misses_gives_the_exact_percentage(seed):
    """9 late, 4 failed, 2 missing of 300 scheduled: 285 on time, 95 % exactly; plus what must not be counted."""
    days = [str(date(2013, 1, 1) + timedelta(days=n)) for n in range(303)]  # over both clock changes
    pick = random.Random(seed)
    fates = [LATE] * 9 + [FAILED] * 4 + [MISSING] * 2 + [ON_TIME] * 285
    pick.shuffle(fates)
    slots, runs, weeks = [slot(day) for day in days], [], Counter()
    now = slots[300].end + timedelta(minutes=20)  # the deadlines of the last three are ahead
    for each, fate in zip(slots, fates, strict=False):
        if fate == ON_TIME:
            runs.append(run(each, pick.uniform(0.1, 30)))
        elif fate == LATE:
            runs.append(run(each, pick.uniform(30.001, 500)))
        elif fate == FAILED:
            runs.append(run(each, pick.uniform(0.1, 500), "failed"))
        weeks[date.fromisoformat(str(each.start.astimezone(ZONE).date())).isocalendar()[:2], fate] += 1
    runs.append(run(slots[300], None, "running"))
    runs.append(run(slot("2012-06-13"), 5))  # of no scheduled interval
    pick.shuffle(runs)
    judged = judge(slots, runs, {DAG: WITHIN}, now)
    assert Counter(each.verdict for each in judged) == Counter(fates) + Counter({PENDING: 3})
    *by_week, total = compliance(judged)
    assert (total.dag_id, total.week, total.on_time, total.scheduled) == (DAG, None, 285, 300)
    assert (total.late, total.failed, total.missing) == (9, 4, 2)
    assert total.compliance == 0.95
    for row in by_week:
        key = row.week.isocalendar()[:2]
        assert [row.on_time, row.late, row.failed, row.missing] == [weeks[key, fate] for fate in COUNTED]
    assert sum(row.scheduled for row in by_week) == 300
    assert len(by_week) == 43, "six days, then 42 weeks of seven"


@pytest.mark.claim("2.6")
def test_the_deadline_itself_is_on_time_and_a_moment_later_is_late():
    of = slot("2013-06-13")
    assert verdict([run(of, 30)]) == ON_TIME
    assert verdict([run(of, 30, ended=of.end + WITHIN + timedelta(milliseconds=1))]) == LATE


@pytest.mark.claim("2.6")
@pytest.mark.parametrize(("day", "hours"), [("2013-03-10", 23), ("2013-11-03", 25), ("2013-06-13", 24)])
def test_a_day_of_23_or_25_hours_has_its_deadline_after_its_own_end(day, hours):
    of = slot(day)
    assert of.end.astimezone(UTC) - of.start.astimezone(UTC) == timedelta(hours=hours)
    (judged,) = judge([of], [run(of, 29)], {DAG: WITHIN}, NOW)
    assert judged.deadline.astimezone(ZONE).strftime("%H:%M") == "00:30"
    assert judged.verdict == ON_TIME
    assert verdict([], of.end + timedelta(minutes=29), of) == PENDING
    assert verdict([], of.end + timedelta(minutes=31), of) == MISSING


@pytest.mark.claim("2.6")
def test_what_has_not_ended_is_pending_until_its_deadline_and_late_from_then_on():
    of = slot("2013-06-13")
    for state in ("queued", "running"):
        assert verdict([run(of, None, state)], of.end + timedelta(minutes=30)) == PENDING
        assert verdict([run(of, None, state)], of.end + timedelta(minutes=30.1)) == LATE


@pytest.mark.claim("2.6")
def test_a_second_run_counts_only_if_it_is_in_time_for_the_first():
    of = slot("2013-06-13")
    failed = run(of, 5, "failed")
    asked = of.end + timedelta(hours=48)
    assert verdict([failed, run(of, 20, name="again")]) == ON_TIME
    again = run(of, None, name="again", due=asked, ended=asked + timedelta(minutes=1))
    assert verdict([failed, again]) == LATE, "quick, but two days after the day was due"
    assert verdict([again]) == ON_TIME, "nobody had asked for the day before"
    assert verdict([failed, run(of, None, "running", name="again", due=asked)]) == LATE


@pytest.mark.claim("2.6")
def test_a_deadline_that_airflow_recorded_as_missed_outweighs_todays_interval():
    of = slot("2013-06-13")
    then = of.end + timedelta(minutes=10)  # when the interval was ten minutes
    assert verdict([run(of, 12, missed=then)]) == LATE
    assert verdict([run(of, 9, missed=then)]) == ON_TIME
    assert verdict([run(of, 12)]) == ON_TIME


@pytest.mark.claim("2.6")
def test_dags_are_summed_up_apart_and_together():
    a, b = slot("2013-06-13", "a"), slot("2013-06-13", "b")
    rows = compliance(judge([a, b], [run(a, 1), run(b, 90)], {"a": WITHIN, "b": WITHIN}, NOW))
    totals = [(row.dag_id, row.on_time, row.scheduled) for row in rows if row.week is None]
    assert totals == [("a", 1, 1), ("b", 0, 1), (ALL, 1, 2)]
    assert compliance([]) == []


states = st.sampled_from(["success", "failed", "running", "queued"])


@pytest.mark.claim("2.6")
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 120), states), max_size=40), st.integers(0, 12))
def test_every_interval_gets_one_verdict_and_shares_stay_between_0_and_1(history, day_of_now):
    slots = [slot(f"2013-06-{10 + n}") for n in range(10)]
    runs = [run(slots[n], minutes, state, name=str(k)) for k, (n, minutes, state) in enumerate(history)]
    judged = judge(slots, runs, {DAG: WITHIN}, slots[0].end + timedelta(days=day_of_now, minutes=15))
    assert [each.slot for each in judged] == slots
    *weeks, total = compliance(judged) or [None]
    if total:
        assert (
            total.scheduled == sum(week.scheduled for week in weeks) == sum(each.verdict != PENDING for each in judged)
        )
        assert 0 <= total.compliance <= 1
    without = judge(slots, [each for each in runs if each.state != "success"], {DAG: WITHIN}, NOW)
    assert not any(each.verdict == ON_TIME for each in without)


@pytest.mark.claim("2.6")
def test_verdicts_are_kept_in_the_warehouse_and_judging_again_replaces_them(warehouse):
    from answers.operate.sla_store import write_verdicts

    slots = [slot(f"2013-06-{day}") for day in (13, 14, 17)]
    before = judge(slots, [run(slots[0], 5), run(slots[1], 5, "failed")], {DAG: WITHIN}, slots[2].end)
    assert write_verdicts(warehouse, before) == 2, "a pending one is not decided"
    after = judge(slots, [run(slots[0], 5), run(slots[1], 29)], {DAG: WITHIN}, NOW)
    for _ in range(2):
        assert write_verdicts(warehouse, after) == 3
    columns = "toString(week), on_time, late, failed, missing, scheduled, compliance"
    sql = f"SELECT {columns} FROM warehouse.sla_compliance ORDER BY week"
    assert [tuple(row) for row in warehouse.query(sql).result_rows] == [
        ("2013-06-10", 2, 0, 0, 0, 2, 1.0),
        ("2013-06-17", 0, 0, 0, 1, 1, 0.0),
    ]
    kept = "SELECT interval_start, deadline, ended FROM warehouse.sla_intervals FINAL ORDER BY interval_start LIMIT 1"
    start, deadline, ended = warehouse.query(kept).result_rows[0]
    assert [each.replace(tzinfo=UTC) for each in (start, deadline, ended)] == [
        slots[0].start,
        slots[0].end + WITHIN,
        slots[0].end + timedelta(minutes=5),
    ]


@pytest.mark.claim("2.6")
def test_the_plot_shows_every_week_and_the_exact_share(tmp_path):
    from answers.operate.sla_plot import draw_compliance

    slots = [slot(str(date(2013, 6, 10) + timedelta(days=n))) for n in range(28)]
    rows = compliance(judge(slots, [run(each, 5) for each in slots[:27]], {DAG: WITHIN}, NOW))
    for ending in ("png", "svg"):
        draw_compliance(rows, tmp_path / f"sla.{ending}")
    assert (tmp_path / "sla.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "sla.svg").read_text()
    for words in ("report: 96.4% on time, 27 of 28", "2013-W24", "2013-W27", "missing (1)"):
        assert f"<!-- {words} -->" in text
    with pytest.raises(ValueError, match="nothing to draw"):
        draw_compliance([], tmp_path / "none.png")
