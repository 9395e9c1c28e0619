"""Tells what is due and not done: judged from what the warehouse and Airflow say; and what the warehouse says, against pandas."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from answers.operate.fleet_due import (
    DONE,
    DUE,
    LATER,
    NOT_BEGUN,
    Known,
    Landed,
    Published,
    judge_duties,
    read_published,
)
from include.fleet import totals
from include.fleet.model import Fleet, load_fleet
from include.flights import engine, feed
from include.flights import warehouse as loader
from include.flights.landed import KEEP_RUNS
from include.flights.publish import publish_day
from support import expected, fleet, interval

pytestmark = pytest.mark.claim("4.8")

FLEET = load_fleet()
HEADLINE = FLEET.members_needed("headline")
CARRIERS = ("UA", "B6", "EV")
DAY = date(2013, 6, 13)
NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
EARLIER, LATER_ON = NOW - timedelta(hours=2), NOW - timedelta(hours=1)


def whole_day(flights: int = 10) -> tuple[Published, Known]:
    """A day of the headline on which everything is done."""
    keys = [(carrier, DAY) for carrier in CARRIERS]
    there = Published(
        dict.fromkeys(keys, flights),
        {each.dag_id: {DAY: totals.CURRENT} for each in HEADLINE if FLEET.products(each)},
    )
    runs = {(each.dag_id, DAY): "success" for each in HEADLINE if each.dated}
    landed = {key: Landed(EARLIER, flights) for key in keys}
    return there, Known(landed, runs, dict.fromkeys(runs, LATER_ON), NOW)


def states(there: Published, known: Known, **more) -> dict[str, str]:
    """Return what is not done, by DAG."""
    duties = judge_duties(HEADLINE, [DAY], there, known, **more)
    return {each.member.dag_id.removeprefix("fleet_"): each.state for each in duties if each.state != DONE}


def test_a_day_on_which_all_is_done_owes_nothing():
    assert states(*whole_day()) == {}


def test_a_report_that_is_missing_or_is_another_one_is_due():
    for state in (totals.MISSING, totals.DIFFERS):
        there, known = whole_day()
        there.totals["fleet_report_UA"][DAY] = state
        assert states(there, known) == {"report_UA": DUE}


def test_what_was_landed_again_is_due_though_it_has_as_many_flights():
    there, known = whole_day()
    known.landed["UA", DAY] = Landed(LATER_ON + timedelta(seconds=1), 10)
    assert states(there, known) == {"transform_UA": DUE, "report_UA": LATER, "rollup_headline": LATER}


@pytest.mark.parametrize("flights", [9, totals.INCONSISTENT])
def test_a_partition_that_lacks_flights_is_due_though_it_was_announced(flights):
    there, known = whole_day()
    there.flights["UA", DAY] = flights
    assert states(there, known)["transform_UA"] == DUE


def test_a_day_that_was_never_landed_is_not_begun_unless_it_is_asked_for():
    there, known = Published({}, {}), Known({}, {}, {}, NOW)
    assert set(states(there, known).values()) == {NOT_BEGUN}
    assert states(there, known, begin=True) == {
        **{f"ingest_{carrier}": DUE for carrier in CARRIERS},
        **{f"{layer}_{carrier}": LATER for layer in ("transform", "report") for carrier in CARRIERS},
        "rollup_headline": LATER,
    }


@pytest.mark.parametrize("state", ["failed", "queued"])
def test_an_ingest_that_failed_or_stands_still_is_due(state):
    there, known = Published({}, {}), Known({}, {("fleet_ingest_UA", DAY): state}, {}, NOW)
    found = states(there, known)
    assert (found["ingest_UA"], found["transform_UA"], found["ingest_B6"]) == (DUE, LATER, NOT_BEGUN)
    assert found["rollup_headline"] == NOT_BEGUN, "of its carriers B6 and EV nobody has begun the day"


def test_a_run_that_a_sensor_will_look_for_is_due_though_its_data_are_there():
    """The roll-up would wait for an hour for a run that was deleted."""
    there, known = whole_day()
    there.totals["fleet_rollup_headline"][DAY] = totals.MISSING
    del known.runs["fleet_transform_UA", DAY]
    assert states(there, known) == {"transform_UA": DUE, "rollup_headline": LATER}
    there.totals["fleet_report_UA"][DAY] = totals.DIFFERS
    assert states(there, known) == {"transform_UA": DUE, "rollup_headline": LATER, "report_UA": LATER}


def test_files_that_are_removed_by_now_are_landed_again():
    there, known = whole_day()
    there.flights["UA", DAY] = 0
    known.landed["UA", DAY] = Landed(NOW - KEEP_RUNS - timedelta(seconds=1), 10)
    assert states(there, known)["ingest_UA"] == DUE


def test_what_is_published_counts_when_the_history_of_airflow_was_purged():
    there, _ = whole_day()
    assert states(there, Known({}, {}, {}, NOW)) == {}


def test_a_transform_that_failed_is_due_though_an_earlier_one_has_published():
    there, known = whole_day()
    known.runs["fleet_transform_UA", DAY] = "failed"
    assert states(there, known) == {"transform_UA": DUE, "report_UA": LATER, "rollup_headline": LATER}


# -- what the warehouse says

DAYS = [DAY, DAY + timedelta(days=1)]


@pytest.fixture
def carriers(warehouse, tmp_path, make_feed):
    """A client of a warehouse that has two days of three carriers."""
    for day in DAYS:
        files = make_feed(str(day))
        for carrier in CARRIERS:
            start, end = interval(str(day))
            landed = feed.land_interval(files, tmp_path, start, end, "test", carrier=carrier)
            folder = Path(landed["folder"])
            engine.transform_files(warehouse, folder)
            publish_day(warehouse, folder, day, day, landed["rows"], "test", loader.CARRIERS, landed["slice"])
    return warehouse


def publish(client, dag_id: str, day: date) -> None:
    (member,) = (each for each in HEADLINE if each.dag_id == dag_id)
    for table, codes, keys in FLEET.products(member):
        totals.publish_totals(client, table, day, codes, "test", keys)


def test_the_warehouse_tells_which_days_are_missing_and_which_are_not_what_they_should_be(carriers):
    there = read_published(carriers, FLEET, HEADLINE, DAYS)
    raw = {day: expected.flights(str(day), str(day))["carrier"].value_counts() for day in DAYS}
    assert there.flights == {(carrier, day): raw[day][carrier] for carrier in CARRIERS for day in DAYS}
    assert set(there.totals) == {*(f"fleet_report_{carrier}" for carrier in CARRIERS), "fleet_rollup_headline"}
    assert all(found == dict.fromkeys(DAYS, totals.MISSING) for found in there.totals.values())
    publish(carriers, "fleet_report_UA", DAYS[0])
    publish(carriers, "fleet_rollup_headline", DAYS[1])
    found = read_published(carriers, FLEET, HEADLINE, DAYS).totals
    assert found["fleet_report_UA"] == {DAYS[0]: totals.CURRENT, DAYS[1]: totals.MISSING}
    assert found["fleet_rollup_headline"] == {DAYS[0]: totals.MISSING, DAYS[1]: totals.CURRENT}
    # A correction of one delay changes no count.
    carriers.command(
        "ALTER TABLE warehouse.carrier_flights UPDATE dep_delay = dep_delay + 1000 "
        f"WHERE carrier = 'UA' AND flight_date = '{DAYS[0]}' AND dep_delay = 0 SETTINGS mutations_sync = 1"
    )
    assert read_published(carriers, FLEET, HEADLINE, DAYS).totals["fleet_report_UA"][DAYS[0]] == totals.DIFFERS
    carriers.command(f"ALTER TABLE warehouse.carrier_daily_delays DROP PARTITION ('{DAYS[0]}', 'UA')")
    assert read_published(carriers, FLEET, HEADLINE, DAYS).flights["UA", DAYS[0]] == totals.INCONSISTENT


def test_a_run_finds_the_days_whose_events_it_was_not_given(carriers):
    members = {each.dag_id: each for each in FLEET.members}
    report = members["fleet_report_UA"]
    assert totals.missed_days(carriers, FLEET, report) == DAYS
    publish(carriers, "fleet_report_UA", DAYS[0])
    assert totals.missed_days(carriers, FLEET, report) == DAYS[1:]
    carriers.command(f"ALTER TABLE warehouse.carrier_daily_delays DROP PARTITION ('{DAYS[1]}', 'UA')")
    assert totals.missed_days(carriers, FLEET, report) == [], "its publication is not complete"


def test_a_ranking_waits_for_the_whole_roll_up_that_it_ranks(carriers):
    small = Fleet.model_validate(fleet.document(scorecard_after="headline"))
    scorecard = next(each for each in small.members if each.layer == "scorecard")
    assert totals.missed_days(carriers, small, scorecard) == []
    publish(carriers, "fleet_rollup_headline", DAYS[0])
    assert totals.missed_days(carriers, small, scorecard) == DAYS[:1]
