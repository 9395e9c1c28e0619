"""Follows the events of a consumer that cannot take them, by Airflow's own asset manager, scheduler and API server."""

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from answers import console
from answers.cli import app as cli
from answers.deploy.server import Server
from answers.operate.fleet_due import read_published
from answers.operate.missed_events import hand_over_events
from answers.operate.repair import Repairer, Request
from answers.stack.client import Airflow
from answers.stack.settings import Settings
from support import PROJECT, expected, fleet
from support.api_server import running_server
from support.events import Scheduler
from support.headline_day import CARRIERS, DAY, FLEET, HEADLINE, Day

pytestmark = pytest.mark.claim("4.8")


@pytest.fixture(scope="module")
def server(metadata_database, tmp_path_factory):
    """Run an API server that knows the fleet."""
    with running_server(tmp_path_factory.mktemp("events"), [PROJECT / "dags" / "q04_fleet.py"]) as server:
        yield server


@pytest.fixture
def airflow(server) -> Airflow:
    return Airflow(server.url, Settings.load().secrets["ADMIN_PASSWORD"])


@pytest.fixture
def scheduler(server, request) -> Iterator[Scheduler]:
    """Give a scheduler that runs the DAGs of the carrier which the test names."""
    scheduler = Scheduler(server.database, getattr(request, "param", "UA"))
    yield scheduler
    scheduler.forget()


def asset_of(carrier: str):
    return pytest.mark.parametrize("scheduler", [carrier], indirect=True)


@asset_of("UA")
def test_the_trap_a_paused_consumer_is_given_no_event_until_the_next_one_comes(scheduler):
    scheduler.publish("2013-06-01")
    scheduler.look()
    scheduler.set(is_paused=True)
    scheduler.publish("2013-06-02", "2013-06-03")
    scheduler.set(is_paused=False)
    scheduler.look()
    assert scheduler.runs() == [["2013-06-01"]], "resumed, and no run"
    scheduler.publish("2013-06-04")
    scheduler.look()
    assert scheduler.runs() == [["2013-06-01"], ["2013-06-02", "2013-06-03", "2013-06-04"]]


@asset_of("B6")
def test_the_trap_of_several_events_between_two_looks_a_run_is_given_the_first(scheduler):
    scheduler.publish("2013-06-01", "2013-06-02", "2013-06-03")
    scheduler.look()
    scheduler.look()
    assert scheduler.runs() == [["2013-06-01"]], "the others wait for one more event"
    scheduler.publish("2013-06-04")
    scheduler.look()
    assert scheduler.runs() == [["2013-06-01"], ["2013-06-02", "2013-06-03", "2013-06-04"]]


@asset_of("EV")
def test_the_trap_a_consumer_at_max_active_runs_is_given_the_first_of_what_came_meanwhile(scheduler):
    scheduler.set(max_active_runs=1)
    scheduler.publish("2013-06-01")
    scheduler.look()
    for day in ("2013-06-02", "2013-06-03"):
        scheduler.publish(day)
        scheduler.look()
    assert scheduler.runs() == [["2013-06-01"]], "full"
    for _ in range(2):
        scheduler.end()
        scheduler.look()
    assert scheduler.runs() == [["2013-06-01"], ["2013-06-02"]], "there is room, and no run for the third"


@asset_of("DL")
def test_the_trap_the_events_of_a_deleted_run_are_gone_unless_it_was_the_last(scheduler, airflow):
    def delete(number: int) -> None:
        run = airflow.runs(scheduler.dag_id, order_by="run_after")[number]
        airflow.delete_run(scheduler.dag_id, run["dag_run_id"])

    for day in ("2013-06-01", "2013-06-02", "2013-06-03"):
        scheduler.publish(day)
        scheduler.look()
    scheduler.end()
    delete(1)
    delete(-1)
    scheduler.publish("2013-06-04")
    scheduler.look()
    assert scheduler.runs() == [["2013-06-01"], ["2013-06-02", "2013-06-03", "2013-06-04"]]
    delete(0)
    scheduler.publish("2013-06-05")
    scheduler.look()
    assert scheduler.runs() == [["2013-06-02", "2013-06-03", "2013-06-04"], ["2013-06-05"]]


@asset_of("AA")
def test_what_a_paused_consumer_missed_is_handed_over_once(scheduler, airflow):
    scheduler.publish("2013-06-01")
    scheduler.look()
    scheduler.set(is_paused=True)
    scheduler.publish("2013-06-02", "2013-06-03")
    scheduler.set(is_paused=False)
    (missed,) = hand_over_events(airflow, scheduler.dag_id)
    assert (missed.asset, missed.events, missed.others) == (scheduler.asset, 2, ())
    assert str(missed) == "2 of fleet.published.AA"
    scheduler.look()
    assert scheduler.runs()[1:] == [["2013-06-02", "2013-06-03", "2013-06-03"]]
    assert hand_over_events(airflow, scheduler.dag_id) == [], "a second time there is nothing to hand over"
    scheduler.look()
    assert len(scheduler.runs()) == 2


@asset_of("MQ")
def test_a_place_in_the_queue_from_before_the_pause_does_not_hold_the_rest_back(scheduler, airflow):
    """Show that the run of that place would be given what came before it, and an event finds the place taken."""
    scheduler.publish("2013-06-01")
    scheduler.set(is_paused=True)
    scheduler.publish("2013-06-02")
    scheduler.set(is_paused=False)
    assert Server(airflow).hand_over_missed_events(scheduler.dag_id) == ["2 of fleet.published.MQ"]
    scheduler.look()
    assert scheduler.runs() == [["2013-06-01", "2013-06-02", "2013-06-02"]]


def test_a_dag_without_assets_and_one_that_is_unknown_have_missed_nothing(airflow):
    assert Server(airflow).hand_over_missed_events("fleet_ingest_UA") == []
    assert Server(airflow).hand_over_missed_events("nowhere") == []


@pytest.fixture
def day(airflow, scheduler, warehouse, make_feed, tmp_path, monkeypatch) -> Day:
    """Make a day that was landed; of UA it was not published, and what events start has missed it."""
    monkeypatch.setattr("answers.operate.repair.LOOK_SECONDS", 0.1)
    monkeypatch.setenv("COLUMNS", "300")
    for code in CARRIERS:
        scheduler.set(f"fleet_report_{code}", is_paused=True)
    day = Day(airflow, scheduler, warehouse, make_feed(str(DAY)), tmp_path)
    day.start(*(f"ingest_{code}" for code in CARRIERS), "transform_B6", "transform_EV")
    day.work()
    for code in CARRIERS:
        scheduler.set(f"fleet_report_{code}", is_paused=False)
    day.worked.clear()
    return day


def answers(*arguments: str, code: int) -> dict:
    done = CliRunner().invoke(cli.app, ["fleet", "repair", "--from", str(DAY), "--to", str(DAY), *arguments])
    assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
    return done


DUE_OF_HEADLINE = {
    "transform_UA": "due",
    "report_UA": "waiting",
    "report_B6": "due",
    "report_EV": "due",
    "rollup_headline": "waiting",
}


def test_what_was_missed_is_found_told_and_repaired_upstream_first(day, monkeypatch):
    monkeypatch.setenv("ANSWERS_API_URL", day.airflow.url)
    monkeypatch.setenv("ANSWERS_API_PASSWORD", Settings.load().secrets["ADMIN_PASSWORD"])
    monkeypatch.setattr(console.out, "_width", 300)  # set where the console was made
    told = json.loads(answers("--for", "headline", "--dry-run", "--json", code=1).stdout)
    assert {each["dag_id"].removeprefix("fleet_"): each["state"] for each in told["due"]} == DUE_OF_HEADLINE
    assert (told["left"], told["not_begun"]) == (5, 0)
    said = answers("--for", "headline", "--dry-run", code=1).stdout
    assert "178 flights were landed, 0 are published" in said
    assert "5 due: nothing was done" in said
    assert (day.worked, day.queued()) == ([], set()), "it only looked"
    assert day.repair() == dict.fromkeys(DUE_OF_HEADLINE, "repaired")
    first, then = day.worked[:3], day.worked[3:]
    assert (set(first), set(then)) == ({"transform_UA", "report_B6", "report_EV"}, {"report_UA", "rollup_headline"})
    wanted = fleet.totals(str(DAY), list(CARRIERS), ["carrier"])[fleet.REPORT]
    expected.assert_equal(day.warehouse.query_df("SELECT * FROM warehouse.fleet_reports"), wanted, ["carrier"])
    wanted = fleet.totals(str(DAY), list(CARRIERS), ["origin"])[fleet.AIRPORTS]
    expected.assert_equal(day.warehouse.query_df("SELECT * FROM warehouse.fleet_airports"), wanted, ["origin"])
    day.worked.clear()
    assert (day.repair(), day.worked) == ({}, [])
    assert "nothing is due" in answers("--for", "headline", code=0).stdout
    assert "not begun: 13 days of carriers" in answers("--dry-run", code=0).stdout, "the other carriers"


def test_a_paused_dag_stays_paused_and_is_told_with_what_waits_for_it(day):
    day.pause("transform_UA")
    found = day.repair()
    assert found == {
        **DUE_OF_HEADLINE,
        **{"transform_UA": "paused", "report_B6": "repaired", "report_EV": "repaired"},
    }
    assert "transform_UA" not in day.worked
    assert day.is_paused("transform_UA")
    assert day.repair(unpause=True) == dict.fromkeys(("transform_UA", "report_UA", "rollup_headline"), "repaired")
    assert not day.is_paused("transform_UA")


def test_a_run_that_failed_runs_again_and_one_that_fails_again_is_told(day):
    day.start("transform_UA")
    day.end("transform_UA", "failed")
    day.fails = "transform_UA"
    found = day.repair()
    assert (found["transform_UA"], found["report_UA"], found["rollup_headline"]) == ("failed", "waiting", "waiting")
    day.fails = ""
    assert day.repair()["transform_UA"] == "repaired"


def test_a_repair_that_was_killed_is_gone_on_with(day):
    """Its runs are joined: each DAG has one run of the date."""
    asked = Request(FLEET, HEADLINE, [DAY])
    looks = Repairer(day.airflow, lambda: read_published(day.warehouse, FLEET, HEADLINE, [DAY]), asked).repair()
    next(looks)
    next(looks)
    looks.close()
    assert day.queued() == {"transform_UA", "report_B6", "report_EV"}
    assert set(day.repair().values()) == {"repaired"}
    assert set(day.worked) == set(DUE_OF_HEADLINE), "events start reports beside the repair's own runs"


def test_a_run_that_was_deleted_is_made_again_where_a_sensor_looks_for_it(day):
    assert set(day.repair().values()) == {"repaired"}
    day.airflow.delete_run("fleet_transform_UA", f"answers__{DAY}")
    assert day.repair() == {}, "what it did is there"
    day.warehouse.command(f"ALTER TABLE warehouse.fleet_hours DROP PARTITION ('{DAY}', 'headline')")
    day.worked.clear()
    assert day.repair() == {"transform_UA": "repaired", "rollup_headline": "repaired"}
    # The event of the transformation starts its report beside them.
    assert [name for name in day.worked if name != "report_UA"] == ["transform_UA", "rollup_headline"]
