"""The fleet's DAGs as Airflow parses them, and a carrier's day in this process."""

import asyncio
import os
import time
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from answers.stack.bootstrap import POOLS
from include.fleet.model import load_fleet
from include.flights import engine, feed
from include.flights import warehouse as loader
from include.flights.publish import publish_day
from support import PROJECT, expected, fleet, interval, open_warehouse

FILE = PROJECT / "dags" / "q04_fleet.py"
DAY = "2013-06-13"
FLEET = load_fleet()
MEMBERS = {member.dag_id: member for member in FLEET.members}


@pytest.fixture(scope="session")
def dags(metadata_database):
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=FILE)
    assert not bag.import_errors
    return bag.dags


def sensors_of(dag):
    return [task for task in dag.tasks if task.task_type == "ExternalTaskSensor"]


@pytest.mark.claim("4.1")
def test_one_module_makes_every_dag_of_the_file(dags):
    assert dags.keys() == MEMBERS.keys()
    assert len(dags) > 50
    for dag_id, dag in dags.items():
        member = MEMBERS[dag_id]
        assert {"q04", "fleet", member.layer, *filter(None, [member.key])} == dag.tags
        assert dag.description == member.title
        assert not dag.catchup
        for task in dag.tasks:
            assert task.owner == member.owner
            assert task.pool in (*POOLS, "default_pool")


@pytest.mark.claim("4.1")
def test_the_process_of_a_task_builds_the_dag_of_that_task_and_no_other(metadata_database, monkeypatch):
    from airflow.dag_processing.dagbag import DagBag

    def parse():
        start = time.process_time()
        bag = DagBag(dag_folder=FILE)
        return bag.dags, time.process_time() - start

    parse()
    everything, all_of_it = parse()
    with monkeypatch.context() as patch:
        # What airflow.sdk.execution_time.task_runner sets before it parses the file.
        patch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "fleet_transform_UA")
        patch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "publish")
        one, seconds = parse()
    assert list(one) == ["fleet_transform_UA"]
    assert len(everything) == len(MEMBERS)
    assert seconds < all_of_it / 2, "it takes a tenth"


def test_the_task_runner_says_which_dag_it_wants(monkeypatch):
    """The context that dags/q04_fleet.py relies on: set by the runner, kept in these variables, which it leaves behind."""
    from airflow.sdk import get_parsing_context
    from airflow.sdk.definitions._internal.dag_parsing_context import _airflow_parsing_context_manager

    for name in ("DAG", "TASK"):
        monkeypatch.setenv(f"_AIRFLOW_PARSING_CONTEXT_{name}_ID", "restored after the test")
    with _airflow_parsing_context_manager(dag_id="one", task_id="two"):
        assert get_parsing_context() == ("one", "two")
        assert os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] == "one"


@pytest.mark.claim("4.1")
def test_a_mistake_in_the_file_is_an_import_error_that_names_it_and_half_a_fleet_is_none(
    metadata_database, monkeypatch, tmp_path
):
    from airflow.dag_processing.dagbag import BundleDagBag

    rollups = [*fleet.document()["rollups"], {"id": "one", "title": "One", "waits_for": ["one"]}]
    monkeypatch.setenv("ANSWERS_FLEET", file := fleet.write(tmp_path, fleet.document(rollups=rollups)))
    bag = BundleDagBag(dag_folder=PROJECT / "dags", bundle_path=PROJECT / "dags", bundle_name="dags")
    ((broken, error),) = bag.import_errors.items()
    assert broken == FILE.name
    assert f"{file}: rollups: a cycle, one waits for one" in error
    assert not [dag_id for dag_id in bag.dags if dag_id.startswith("fleet_")]
    assert "q01_flights_to_clickhouse" in bag.dags


@pytest.mark.claim("4.1")
def test_no_run_starts_by_itself_when_the_fleet_is_unpaused(dags):
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction

    for dag_id, dag in dags.items():
        if not MEMBERS[dag_id].dated:
            continue
        timetable = coerce_to_core_timetable(dag.timetable)
        restriction = TimeRestriction(dag.start_date, dag.end_date, catchup=dag.catchup)
        assert timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction) is None


@pytest.mark.claim("4.3")
def test_roll_ups_fan_out_and_in_through_empty_operators(dags):
    for dag_id, dag in dags.items():
        if MEMBERS[dag_id].layer != "rollup":
            continue
        waits = {task.task_id for task in sensors_of(dag)}
        work = {"by_airport", "by_hour"}
        assert len(waits) == len(MEMBERS[dag_id].waits_for)
        assert {name: task.task_type for name, task in dag.task_dict.items() if name in ("start", "ready", "done")} == (
            dict.fromkeys(("start", "ready", "done"), "EmptyOperator")
        )
        assert dag.task_dict["start"].downstream_task_ids == waits
        assert dag.task_dict["ready"].upstream_task_ids == waits
        assert dag.task_dict["ready"].downstream_task_ids == dag.task_dict["done"].upstream_task_ids == work
        edges = sum(len(task.downstream_task_ids) for task in dag.tasks)
        assert edges == 2 * len(waits) + 2 * len(work), "n + m edges at the fan-in, and not n times m"


@pytest.mark.claim("4.3")
def test_an_empty_operator_needs_no_process(dags):
    """The scheduler sets it to success by itself, unless it has a callback, an inlet or an outlet."""
    for dag in dags.values():
        for task in dag.tasks:
            if task.task_type == "EmptyOperator":
                assert [*task.inlets, *task.outlets, *task.on_execute_callback, *task.on_success_callback] == []


@pytest.mark.claim("4.4")
def test_what_computes_is_in_a_pool(dags):
    """The live stack shows that their slots are never exceeded."""
    pools = {(dag_id, task.task_id): task.pool for dag_id, dag in dags.items() for task in dag.tasks}
    work = {key: pool for key, pool in pools.items() if not key[1].startswith("wait_for_")}
    empty = ("start", "ready", "done")
    assert {pool for key, pool in work.items() if key[1] in ("land", "transform")} == {"fleet"}
    assert {pool for key, pool in work.items() if key[1] not in ("land", "transform", *empty)} == {"warehouse"}
    assert {"fleet", "warehouse"} <= POOLS.keys()


@pytest.mark.claim("4.5")
def test_every_task_has_the_weight_of_its_dag_as_the_scheduler_sees_it(dags):
    from airflow.serialization.serialized_objects import DagSerialization

    for dag_id, dag in dags.items():
        seen = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        for task in seen.tasks:
            weight = task.weight_rule.get_weight(type("TI", (), {"task": task}))
            assert weight == MEMBERS[dag_id].weight, f"{dag_id}.{task.task_id}"


@pytest.mark.claim("4.5")
def test_the_trap_airflows_weight_rules_end_at_the_edge_of_the_dag(metadata_database):
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("upstream", schedule=None) as upstream:
        EmptyOperator(task_id="done")
    with DAG("downstream", schedule=None) as downstream:
        wait = ExternalTaskSensor(task_id="wait", external_dag_id="upstream", external_task_id="done")
        wait >> EmptyOperator(task_id="critical", priority_weight=100)

    def weight(dag, task_id):
        task = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task(task_id)
        return task.weight_rule.get_weight(type("TI", (), {"task": task}))

    assert weight(downstream, "wait") == 101  # the default rule adds up what comes after, in the same DAG
    assert weight(upstream, "done") == 1


@pytest.mark.claim("4.6")
def test_every_sensor_waits_for_one_task_without_a_slot_and_for_an_hour_at_most(dags):
    found = [(dag_id, sensor) for dag_id, dag in dags.items() for sensor in sensors_of(dag)]
    assert len(found) == 16 + 3 + 4 + 5 + 5 + 2 + 4
    for dag_id, sensor in found:
        assert sensor.external_dag_id in MEMBERS[dag_id].waits_for
        assert sensor.external_task_ids == ["done"], "a deferred sensor with several overlooks a partial failure"
        assert sensor.external_task_ids[0] in dags[sensor.external_dag_id].task_dict
        assert MEMBERS[sensor.external_dag_id].dated, "a run that an event started has no date to look for"
        assert sensor.deferrable
        assert 0 < sensor.timeout <= 3600
        assert set(sensor.failed_states) == {"failed", "upstream_failed", "skipped"}
        assert (sensor.retries, sensor.retry_delay.total_seconds()) == (1, 2)


@pytest.mark.claim("4.7")
def test_an_event_starts_what_nothing_waits_for(dags):
    waited_for = {name for member in FLEET.members if member.dated for name in member.waits_for}
    for dag_id, dag in dags.items():
        assert MEMBERS[dag_id].dated == (type(dag.timetable).__name__ == "CronDataIntervalTimetable")
        if not MEMBERS[dag_id].dated:
            assert dag_id not in waited_for
            assert sensors_of(dag) == []
            (asset,) = dag.timetable.asset_condition.objects
            (upstream,) = MEMBERS[dag_id].waits_for
            assert [task.task_id for task in dags[upstream].tasks if asset in task.outlets] in (
                ["publish"],
                ["by_airport"],
            )


@pytest.mark.claim("4.6")
@pytest.mark.parametrize(("several", "seen"), [(["one"], "failed"), (["one", "two"], None)])
def test_the_trap_deferred_with_several_task_ids_a_partial_failure_is_overlooked(monkeypatch, several, seen):
    """WorkflowTrigger of the standard provider: one failed task of two is int(1 / 2) = 0 failures."""
    from airflow.providers.standard.triggers.external_task import WorkflowTrigger
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    def one_failed(states, **kwargs):
        return 1 if "failed" in states else 0

    monkeypatch.setattr(RuntimeTaskInstance, "get_ti_count", one_failed)
    trigger = WorkflowTrigger(
        "other", logical_dates=[interval(DAY)[0]], external_task_ids=several, failed_states=["failed"],
        allowed_states=["success"], poke_interval=0.01,
    )  # fmt: skip

    async def first_event():
        try:
            return (await asyncio.wait_for(anext(aiter(trigger.run())), 1)).payload["status"]
        except TimeoutError:
            return None

    assert asyncio.run(first_event()) == seen


@pytest.mark.claim("4.8")
@pytest.mark.timeout(120)
def test_a_report_serves_the_days_whose_events_it_was_not_given(dags, warehouse, make_feed, tmp_path):
    """A run without any event stands for one that was given another day's."""
    days = [date.fromisoformat(DAY), date.fromisoformat(DAY) + timedelta(days=1)]
    for day in days:
        landed = feed.land_interval(make_feed(str(day)), tmp_path, *interval(str(day)), "test", carrier="US")
        folder = Path(landed["folder"])
        engine.transform_files(warehouse, folder)
        publish_day(warehouse, folder, day, day, landed["rows"], "test", loader.CARRIERS, landed["slice"])
    warehouse.close()
    run = dags["fleet_report_US"].test(logical_date=None)
    assert str(run.state) == "success"
    with open_warehouse() as client:
        reports = client.query_df("SELECT * FROM warehouse.fleet_reports ORDER BY flight_date")
    wanted = pd.concat([fleet.totals(str(day), ["US"], ["carrier"])[fleet.REPORT] for day in days], ignore_index=True)
    expected.assert_equal(reports, wanted, ["flights"])
    assert [str(day)[:10] for day in reports["flight_date"]] == [str(day) for day in days]
