"""The fleet on a live stack: a part of it, a whole day, a broken carrier, contention for a pool, and who waits without a slot."""

import json
import re
import signal
import subprocess
from datetime import date, timedelta

import pandas as pd
import pytest

from answers.operate.fleet import start_day, watch_day
from bench.transitions import Recorder, most_at_once, seconds_in
from include.fleet.model import load_fleet
from include.waiting import patience
from support import expected, fleet, wait_for

DAY, WHOLE_DAY, BAD_DAY = "2013-06-13", "2013-06-12", "2013-02-09"
PART = "legacy"
FLEET = load_fleet()


@pytest.fixture(scope="module", autouse=True)
def parsed(stack):
    """The stack knows the fleet."""
    wait_for("the fleet to be parsed", lambda: "fleet_scorecard" in stack.airflow.dag_ids())


def recorded(stack, day: str, *options: str) -> tuple[dict, list]:
    """A day that the command runs: (what `answers fleet run --json` says, every change of state)."""
    recorder = Recorder(stack.settings)
    said = json.loads(stack.answers("fleet", "run", "--date", day, *options, "--timeout", "400", "--json").stdout)
    return said, recorder.changes()


@pytest.fixture(scope="module")
def part_of_a_day(stack, parsed):
    """Return what a roll-up of four carriers needs."""
    return recorded(stack, DAY, "--for", PART)


@pytest.mark.claim("4.1")
def test_a_part_of_the_fleet_equals_pandas(stack, part_of_a_day):
    assert_published(stack, DAY, part_of_a_day[0], FLEET.members_needed(PART), [PART])


@pytest.mark.long("a part of the fleet; the whole fleet's DAGs, edges and totals in the dag and unit tiers")
@pytest.mark.claim("4.1")
def test_a_day_of_the_whole_fleet_equals_pandas(stack):
    said, changes = recorded(stack, WHOLE_DAY)
    rollups = [rollup.id for rollup in FLEET.rollups]
    assert_published(stack, WHOLE_DAY, said, FLEET.members, rollups)
    assert_pools(stack, changes)
    assert_waiting(changes, FLEET.members)
    scorecard = stack.frame(f"SELECT * FROM warehouse.fleet_scorecard WHERE flight_date = '{WHOLE_DAY}'")
    wanted = fleet.totals(WHOLE_DAY, FLEET.carriers_of("network"), ["carrier"])
    assert sorted(scorecard["carrier"]) == sorted(wanted["carrier"])
    assert len(wanted) > 10


def assert_published(stack, day: str, said: dict, members, rollups: list[str]) -> None:
    """These members succeeded, and what their carriers and roll-ups have is what pandas computes."""
    assert {dag["dag_id"]: dag["state"] for dag in said["dags"]} == {member.dag_id: "success" for member in members}
    carriers = sorted({carrier for rollup in rollups for carrier in FLEET.carriers_of(rollup)})
    found = {
        table: stack.frame(f"SELECT * FROM warehouse.{table} WHERE flight_date = '{day}'")
        for table in ("carrier_flights", "carrier_daily_delays", "fleet_reports", "fleet_airports")
    }
    flights, delays = expected.flights(day, day), expected.daily_delays(day, day)
    expected.assert_equal(found["carrier_flights"], flights[flights["carrier"].isin(carriers)], expected.FLIGHT_KEY)
    wanted = delays[delays["carrier"].isin(carriers)]
    expected.assert_equal(found["carrier_daily_delays"], wanted, expected.DAILY_DELAYS_KEY)
    wanted = fleet.totals(day, carriers, ["carrier"])
    assert len(wanted) >= 4
    expected.assert_equal(found["fleet_reports"], wanted[fleet.REPORT], ["carrier"])
    airports = found["fleet_airports"]
    names = airports["rollup"].map(lambda name: name.decode() if isinstance(name, bytes) else name)
    for rollup in rollups:
        wanted = fleet.totals(day, FLEET.carriers_of(rollup), ["origin"])
        expected.assert_equal(airports[names == rollup], wanted[fleet.AIRPORTS], ["origin"])


@pytest.mark.claim("4.4")
def test_a_pools_slots_are_never_exceeded_and_all_of_them_are_used(stack, part_of_a_day):
    assert_pools(stack, part_of_a_day[1])


def assert_pools(stack, changes: list) -> None:
    pools = {name: pool["slots"] for name, pool in stack.airflow.pools().items()}
    assert most_at_once(changes, "fleet") == pools["fleet"]
    assert 1 <= most_at_once(changes, "warehouse") <= pools["warehouse"]
    wanting = most_at_once(changes, "fleet", ("scheduled", "queued", "running"))
    assert wanting > pools["fleet"], "there was no contention"


@pytest.mark.claim("4.3")
@pytest.mark.claim("4.7")
def test_sensors_wait_without_a_slot_and_empty_operators_take_none(part_of_a_day):
    assert_waiting(part_of_a_day[1], FLEET.members_needed(PART))


def assert_waiting(changes: list, members) -> None:
    running = seconds_in(changes)
    deferred = seconds_in(changes, ("deferred",))
    waits = {key: seconds for key, seconds in deferred.items() if key[1].startswith("wait_for_")}
    assert len(waits) == sum(len(member.waits_for) for member in members if member.dated)
    assert sum(running[key] for key in waits) < sum(waits.values()) / 2
    assert not [key for key in running if key[1] in ("start", "ready", "done")]
    assert not [key for key in waits if key[0].startswith(("fleet_report", "fleet_scorecard"))]


@pytest.mark.claim("4.5")
def test_when_the_pool_opens_tasks_start_in_the_order_of_their_weights(stack):
    airflow, day = stack.airflow, date.fromisoformat("2013-06-14")

    def resize(slots: int) -> None:
        body = {"name": "fleet", "slots": slots, "include_deferred": False}
        airflow.request("PATCH", "/pools/fleet", json=body)

    lands = [member for member in FLEET.members if member.layer == "ingest" and member.key in ("OO", "AS", "UA", "B6")]
    resize(0)
    recorder = Recorder(stack.settings)
    try:
        start_day(airflow, lands, day)
        wait_for("all to want a slot", lambda: sum(c.state == "scheduled" for c in recorder.changes()) == len(lands))
        resize(1)
        *_, states = watch_day(airflow, lands, day, 120)
    finally:
        resize(2)
    assert {each.state for each in states} == {"success"}
    begun = [change for change in recorder.changes() if change.pool == "fleet" and change.state == "running"]
    assert [change.weight for change in begun] == [100, 100, 10, 10]
    assert {change.dag_id for change in begun[:2]} == {"fleet_ingest_UA", "fleet_ingest_B6"}


@pytest.fixture
def broken_feed(stack, make_feed):
    """A feed with a word in a number's cell of one flight of EV."""
    pattern = re.compile(r"(?m)^(2013,.*,EV,.*,)\d+(,\d+,\d+,2013-)")
    feed = make_feed(BAD_DAY, flights=lambda text: pattern.sub(r"\1far\2", text, count=1))
    before = stack.airflow.variable("flights_feed")
    for value in (str(feed), before):
        stack.airflow.set_variable("flights_feed", value)
        if value != before:
            yield feed


@pytest.mark.claim("4.6")
def test_of_a_broken_carrier_the_dependants_fail_fast_and_the_others_finish(stack, broken_feed):
    recorder = Recorder(stack.settings)
    done = stack.answers(
        "fleet", "run", "--date", BAD_DAY, "--for", "headline", "--timeout", "200", "--json", check=False
    )
    assert done.returncode == 1
    states = {dag["dag_id"].removeprefix("fleet_"): dag["state"] for dag in json.loads(done.stdout)["dags"]}
    assert states == {
        **{f"{layer}_{code}": "success" for layer in ("ingest", "transform", "report") for code in ("UA", "B6")},
        "ingest_EV": "failed",
        "transform_EV": "failed",
        "report_EV": "no event",
        "rollup_headline": "failed",
    }
    assert "fleet_ingest_EV land failed at try 1" in done.stderr
    assert "'far' is not an integer" in done.stderr
    changes = recorder.changes()
    cause = next(c.at for c in changes if (c.dag_id, c.task_id, c.state) == ("fleet_ingest_EV", "land", "failed"))
    for dag_id, task_id in (
        ("fleet_transform_EV", "wait_for_ingest_EV"),
        ("fleet_rollup_headline", "wait_for_transform_EV"),
    ):
        end = next(c.at for c in changes if (c.dag_id, c.task_id, c.state) == (dag_id, task_id, "failed"))
        assert end - cause < timedelta(seconds=load_fleet().settings.sensor_timeout) / 2, (
            "it waited for what had failed"
        )
    carriers = stack.sql(f"SELECT DISTINCT carrier FROM warehouse.carrier_flights WHERE flight_date = '{BAD_DAY}'")
    assert {row["carrier"] for row in carriers} == {"UA", "B6"}


@pytest.mark.claim("4.8")
def test_days_that_a_paused_report_missed_are_told_and_repaired(stack):
    days, dag = ("2013-06-20", "2013-06-21"), "fleet_report_AS"
    stack.airflow.pause(dag)
    for layer in ("ingest", "transform"):
        stack.answers("run", f"fleet_{layer}_AS", "--from", days[0], "--to", days[1], "--json")

    def repair(*options: str, code: int) -> dict[str, str]:
        args = ("fleet", "repair", "--from", days[0], "--to", days[1], "--for", "AS", "--json", *options)
        done = stack.answers(*args, check=False)
        assert done.returncode == code, done.stderr
        assert {each["dag_id"] for each in json.loads(done.stdout)["due"]} <= {"fleet_report_AS"}
        return {each["day"]: each["state"] for each in json.loads(done.stdout)["due"]}

    assert repair(code=1) == dict.fromkeys(days, "paused")
    assert stack.airflow.dag(dag)["is_paused"]
    assert stack.airflow.runs(dag) == []
    assert repair("--unpause", code=0) == dict.fromkeys(days, "repaired")
    found = stack.frame(f"SELECT * FROM warehouse.fleet_reports WHERE carrier = 'AS' AND flight_date IN {days}")
    wanted = pd.concat([fleet.totals(day, ["AS"], ["carrier"])[fleet.REPORT] for day in days])
    assert len(wanted) == len(days)
    expected.assert_equal(found, wanted, ["flights", "mean_dep_delay"])
    assert repair(code=0) == {}


@pytest.mark.claim("4.1")
def test_ctrl_c_leaves_the_day_running_and_a_second_run_joins_it(stack):
    args = ("fleet", "run", "--date", "2013-06-15", "--for", "HA")
    # With the pool closed the day cannot be over before the signal comes.
    closed, opened = ({"pool": "fleet", "slots": slots, "include_deferred": False} for slots in (0, 2))
    stack.airflow.request("PATCH", "/pools/fleet?update_mask=slots", json=closed)
    first = subprocess.Popen(
        stack.command(*args), env=stack.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    members = FLEET.members_needed("HA")
    path = f"/dags/{members[1].dag_id}/dagRuns?limit=100"

    def started() -> bool:
        runs = stack.airflow.request("GET", path).json()["dag_runs"]
        return any(run["dag_run_id"] == "answers__2013-06-15" for run in runs)

    try:
        wait_for("the day to start", started)
        first.send_signal(signal.SIGINT)
        _, error = first.communicate(timeout=patience(30))
    finally:
        stack.airflow.request("PATCH", "/pools/fleet?update_mask=slots", json=opened)
    assert first.returncode == 130
    assert "Traceback" not in error
    second = json.loads(stack.answers(*args, "--json").stdout)
    assert {dag["state"] for dag in second["dags"]} == {"success"}
