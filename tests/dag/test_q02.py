"""Question 2: the report's wiring, deadline and retries, whole runs of it, and the traps of deadlines in Airflow 3.3.2."""

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatch
from uuid import uuid4

import pytest

from answers.stack import dotenv
from support import PROJECT, expected, interval, loose_session

Q02 = "q02_daily_punctuality_report"
DAY = "2013-06-13"
SHARED = dotenv.read(PROJECT / "config" / "airflow.env")
# Where tasks have a reason for retries of their own (it stands beside them): DAG/task -> (retries, seconds between).
OVERRIDES = {
    f"{Q02}/write_report": (3, 60),
    "fleet_*/wait_for_*": (1, 2),
    "q08_matrix_*/work": (0, 300),
    "q05_kafka_*/*": (10, 5),
}


@pytest.fixture
def published(warehouse):
    """Publish a few flights of DAY, as question 1 would leave them, computed by pandas."""
    from include.flights import warehouse as loader

    loader.create_tables(warehouse)
    warehouse.insert_df("warehouse.daily_delays", expected.daily_delays(DAY, DAY))
    warehouse.close()  # the tasks open it


# -- the deadline (2.1)


@pytest.mark.claim("2.1")
def test_the_report_has_this_deadline_and_no_other(dag_of):
    from airflow.serialization.serialized_objects import DagSerialization

    (alert,) = DagSerialization.to_dict(dag_of(Q02))["dag"]["deadline"]
    assert alert["name"] == "report in time"
    assert alert["reference"] == {"reference_type": "RunDue", "__class_path": "plugins.deadlines.RunDue"}
    assert alert["interval"]["__data__"] == {"key": "q02_report_within"}
    assert alert["callback"]["__classname__"].endswith(".AsyncCallback"), "it runs in the triggerer"
    assert alert["callback"]["__data__"] == {
        "path": "plugins.callbacks.deadline_missed.deadline_missed",
        "kwargs": {"owner": "flight-reports"},
    }


@pytest.mark.claim("2.1")
def test_a_process_that_knows_no_dag_file_finds_callback_and_reference():
    """As the triggerer and the scheduler do: by their paths, and by the plugin that registers the reference."""
    code = """
import inspect, sys
from airflow._shared.module_loading import import_string
from airflow.serialization.decoders import decode_deadline_reference
callback = import_string("plugins.callbacks.deadline_missed.deadline_missed")
kept = decode_deadline_reference({"reference_type": "RunDue", "__class_path": "plugins.deadlines.RunDue"})
dags = [name for name, module in sys.modules.items() if "/dags/" in (getattr(module, "__file__", None) or "")]
print(inspect.iscoroutinefunction(callback), kept.reference_name, dags)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "True RunDue []"


@pytest.mark.claim("2.1")
def test_a_deadline_counts_from_when_the_run_could_begin(metadata_database, dag_of):
    """A scheduled run: the end of its interval. A run that is asked for: that moment. A backfill: when it was queued."""
    from airflow.models import DagRun
    from airflow.utils.session import create_session

    from plugins.deadlines import RunDue

    start, end = interval(DAY)
    asked = datetime(2026, 1, 31, 12, tzinfo=UTC)
    wanted = {"scheduled": end, "manual": asked, "backfill": asked}
    with create_session() as session:
        for kind in wanted:
            run = DagRun(dag_id="due", run_id=kind, run_type=kind, logical_date=None, queued_at=asked)
            run.data_interval_start, run.data_interval_end = start, end
            run.run_after = asked if kind == "manual" else end
            session.add(run)
        session.flush()
        found = {kind: RunDue()._evaluate_with(session=session, dag_id="due", run_id=kind) for kind in wanted}
        session.rollback()
    assert found == wanted


def test_the_trap_a_run_that_waits_for_a_deadline_by_queued_at_cannot_be_cleared(metadata_database):
    """Airflow 3.3.2 stores the interval as a document and adds it up as a number. RunDue does not go that way."""
    from airflow.models import DagRun
    from airflow.models.deadline import Deadline
    from airflow.models.deadline_alert import DeadlineAlert as Alert
    from airflow.models.taskinstance import _recalculate_dagrun_queued_at_deadlines
    from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference
    from airflow.serialization.encoders import encode_deadline_alert

    from plugins.callbacks.deadline_missed import deadline_missed
    from plugins.deadlines import RunDue

    callback, now = AsyncCallback(deadline_missed, kwargs={"owner": "x"}), datetime.now(UTC)

    def clear(reference) -> None:
        stored = encode_deadline_alert(DeadlineAlert(reference, timedelta(minutes=30), callback))
        with loose_session() as session:  # the alert of a DAG that is not stored
            run = DagRun(dag_id="due", run_id="x", run_type="manual", logical_date=None, run_after=now)
            alert = Alert(serialized_dag_id=uuid4(), callback_def=stored["callback"])
            alert.reference, alert.interval = stored["reference"], stored["interval"]
            session.add_all([run, alert])
            session.flush()
            session.add(Deadline(now, callback, run.id, alert.id, "due"))
            session.flush()
            _recalculate_dagrun_queued_at_deadlines(run, now, session)  # what clearing does first

    clear(RunDue())
    with pytest.raises(TypeError, match="unsupported type for timedelta seconds"):
        clear(DeadlineReference.DAGRUN_QUEUED_AT)


def test_the_trap_a_run_without_logical_date_gets_no_deadline_that_counts_from_it(metadata_database):
    from airflow.models import DagRun
    from airflow.serialization.definitions.deadline import SerializedReferenceModels
    from airflow.utils.session import create_session

    from plugins.deadlines import RunDue

    asked = datetime(2026, 1, 31, 12, tzinfo=UTC)
    with create_session() as session:
        session.add(DagRun(dag_id="due", run_id="x", run_type="asset_triggered", logical_date=None, run_after=asked))
        session.flush()
        arguments = {"session": session, "interval": timedelta(minutes=1), "dag_id": "due", "run_id": "x"}
        assert SerializedReferenceModels.DagRunLogicalDateDeadline().evaluate_with(**arguments) is None
        assert RunDue()._evaluate_with(session=session, dag_id="due", run_id="x") == asked
        session.rollback()


def test_the_trap_without_its_variable_no_run_can_be_created_so_the_set_up_makes_it(metadata_database):
    from airflow.serialization.definitions.deadline import SerializedVariableInterval

    assert SerializedVariableInterval("q02_report_within").resolve() == timedelta(minutes=30)
    with pytest.raises(ValueError, match="'never_set' not found"):
        SerializedVariableInterval("never_set").resolve()


def test_the_trap_dag_test_raises_for_a_dag_with_a_deadline(dag_of, published):
    with pytest.raises(Exception, match="is not bound to a Session"):
        dag_of(Q02).test(logical_date=interval("2013-06-14")[0])


def test_the_trap_a_reference_registered_from_its_own_file_would_not_be_found():
    """Airflow imports the plugins folder's files under names of their own, so the class's path would be another one."""
    code = """
import sys
from airflow import plugins_manager
found = plugins_manager.get_deadline_references_plugins()
print(sorted(found), sys.modules["deadlines"].RunDue is sys.modules["plugins.deadlines"].RunDue)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "['plugins.deadlines.RunDue'] False", done.stderr


# -- retries (2.2)


def as_the_scheduler_sees_it(dag):
    from airflow.serialization.serialized_objects import DagSerialization

    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


@pytest.fixture(scope="module")
def all_dags(metadata_database):
    """Every DAG of the project, parsed in a fresh process with the platform's settings as they are deployed."""
    code = """
import json, pathlib
from airflow import settings
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.serialization.serialized_objects import DagSerialization
bag = BundleDagBag(settings.DAGS_FOLDER, bundle_path=pathlib.Path(settings.DAGS_FOLDER), bundle_name="dags")
assert not bag.import_errors, bag.import_errors
found = {}
for dag_id, dag in bag.dags.items():
    seen = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    found[dag_id] = {task.task_id: (task.retries, task.retry_delay.total_seconds()) for task in seen.tasks}
print(json.dumps(found))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | SHARED)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.claim("2.2")
def test_three_retries_five_minutes_apart_hold_in_every_dag_except_where_a_task_says_otherwise(all_dags):
    assert {Q02, "q01_flights_to_clickhouse"} <= set(all_dags)
    used = set()
    for dag_id, tasks in all_dags.items():
        for task_id, found in tasks.items():
            own = [pattern for pattern in OVERRIDES if fnmatch(f"{dag_id}/{task_id}", pattern)]
            used |= set(own)
            assert tuple(found) == (OVERRIDES[own[0]] if own else (3, 300)), (
                f"{dag_id}/{task_id}: say why, and in OVERRIDES"
            )
    assert used == set(OVERRIDES)


@pytest.mark.claim("2.2")
def test_the_defaults_are_in_one_place_and_a_task_overrides_them(all_dags):
    assert SHARED["AIRFLOW__CORE__DEFAULT_TASK_RETRIES"] == "3"
    assert SHARED["AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY"] == "300"
    assert all_dags[Q02] == {"wait_for_airlines": [3, 300], "write_report": [3, 60]}
    for file in (PROJECT / "dags").glob("*.py"):
        assert '"retries"' not in file.read_text(), f"{file.name}: default_args would hide the platform's default"


# -- whole runs


@pytest.mark.claim("2.5")
def test_a_run_waits_in_the_trigger_and_then_writes_the_report(run_day, published, monkeypatch, tmp_path):
    """The register is delivered while the run waits: dag.test() runs the trigger in this process."""
    file = tmp_path / "airlines.csv"
    monkeypatch.setenv("AIRFLOW_VAR_AIRLINES_FEED", f"file://{file}")
    monkeypatch.setenv("AIRFLOW_VAR_DATA_ROOT", str(tmp_path))
    waiting = threading.Event()

    from plugins.triggers import external_feed

    real = external_feed.look_once

    async def look_and_tell(*arguments):
        seen = await real(*arguments)
        waiting.set()
        return seen

    monkeypatch.setattr(external_feed, "look_once", look_and_tell)
    monkeypatch.setattr(external_feed, "pause_after", lambda *_: 0.1)
    deliver = threading.Thread(target=lambda: (waiting.wait(60), file.write_text("carrier,name\nB6,JetBlue Airways\n")))
    deliver.start()
    state, tasks, _ = run_day(Q02, DAY)
    deliver.join()
    assert (state, tasks["wait_for_airlines"][0], tasks["write_report"][0]) == ("success", "success", "success")
    assert waiting.is_set(), "the first look, in the worker, had not found it"
    text = (tmp_path / "reports" / "punctuality" / f"{DAY}.md").read_text()
    flights = expected.flights(DAY, DAY)
    cancelled = int(flights["dep_delay"].isna().sum())
    assert f"{len(flights)} flights, {cancelled} cancelled ({cancelled / len(flights):.1%})." in text
    blue = flights[flights["carrier"] == "B6"]
    delay = blue["dep_delay"].mean()
    row = f"| JetBlue Airways | {len(blue)} | {int(blue['dep_delay'].isna().sum())} | {delay:.1f} |"
    assert row in text.splitlines()
    delays = flights.groupby("carrier")["dep_delay"].mean().sort_values(ascending=False)
    order = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][1:]
    assert [name.replace("JetBlue Airways", "B6") for name in order] == list(delays.index)


@pytest.mark.claim("2.5")
def test_a_day_that_is_not_published_is_a_clear_error_at_once(run_day, warehouse, capsys, caplog):
    warehouse.close()
    state, tasks, _ = run_day(Q02, DAY)
    assert state == "failed"
    assert tasks["write_report"] == ("failed", 1)
    ours = "warehouse.daily_delays has no flights for 2013-06-13: publish the day (answers run q01 --date 2013-06-13)"
    assert ours in capsys.readouterr().out + caplog.text


# -- what is scheduled (2.6)


@pytest.mark.claim("2.6")
def test_what_is_scheduled_comes_from_the_dags_own_timetable_across_clock_changes(metadata_database):
    from answers.operate.sla_schedule import scheduled

    environment = dict(os.environ)
    plan = scheduled(date(2013, 1, 1), date(2013, 12, 31), [], environment)[Q02]
    assert plan["within"] == {"variable": "q02_report_within"}
    days = [str(date(2013, 1, 1) + timedelta(days=n)) for n in range(365)]
    found = [tuple(map(datetime.fromisoformat, pair)) for pair in plan["slots"]]
    assert found == [interval(day) for day in days]
    hours = [(end - start).total_seconds() / 3600 for start, end in found]
    assert (hours.count(24), hours[days.index("2013-03-10")], hours[days.index("2013-11-03")]) == (363, 23, 25)
    with pytest.raises(ValueError, match="q01_flights_to_clickhouse has no deadline"):
        scheduled(date(2013, 1, 1), date(2013, 1, 2), ["q01_flights_to_clickhouse"], environment)
