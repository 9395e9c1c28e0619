"""What becomes of the events of a consumer that cannot take them, by Airflow's own asset manager, scheduler and API server."""

from collections.abc import Iterator

import pytest

from answers.deploy.server import Server
from answers.operate.missed_events import hand_over
from answers.stack.client import Airflow
from answers.stack.settings import Settings
from support import PROJECT
from support.api_server import running_server

pytestmark = pytest.mark.claim("4.8")


class Scheduler:
    """Airflow's code for events and the runs that they start, on the database of an API server."""

    def __init__(self, database, carrier: str) -> None:
        from sqlalchemy import create_engine
        from sqlalchemy.orm import Session

        self._engine = create_engine(f"sqlite:///{database}")
        self._session = lambda: Session(self._engine)
        self.asset, self.dag_id = f"fleet.published.{carrier}", f"fleet_report_{carrier}"

    def publish(self, *days: str) -> None:
        """Register an event a day, as the end of a task that has the asset as outlet does."""
        from airflow.assets.manager import asset_manager
        from airflow.models.asset import AssetModel
        from sqlalchemy import select

        for day in days:
            with self._session() as session:
                asset = session.scalar(select(AssetModel).where(AssetModel.name == self.asset))
                asset_manager.register_asset_change(asset=asset, extra={"first_day": day}, session=session)
                session.commit()

    def look(self) -> None:
        """One look of the scheduler for events that want a run."""
        from airflow.jobs.job import Job
        from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
        from airflow.models.dag import DagModel

        with self._session() as session:
            query, by_event = DagModel.dags_needing_dagruns(session)
            dags = [dag for dag in query if dag.dag_id in by_event]
            runner = SchedulerJobRunner(job=Job(), executors=[])
            runner._create_dag_runs_asset_triggered(dag_models=dags, session=session)
            session.commit()

    def set(self, **fields) -> None:
        """Change the DAG, as the API does."""
        from airflow.models.dag import DagModel

        with self._session() as session:
            dag = session.get(DagModel, self.dag_id)
            for name, value in fields.items():
                setattr(dag, name, value)
            session.commit()

    def end(self) -> None:
        """End all runs of the DAG well."""
        from airflow.models import DagRun
        from sqlalchemy import update

        with self._session() as session:
            session.execute(update(DagRun).where(DagRun.dag_id == self.dag_id).values(state="success"))
            session.commit()

    def runs(self) -> list[list[str]]:
        """The days that each run was given, oldest run first."""
        from airflow.models import DagRun
        from sqlalchemy import select

        with self._session() as session:
            runs = session.scalars(select(DagRun).where(DagRun.dag_id == self.dag_id).order_by(DagRun.run_after))
            return [[event.extra["first_day"] for event in run.consumed_asset_events] for run in runs]

    def close(self) -> None:
        self._engine.dispose()


@pytest.fixture(scope="module")
def server(metadata_database, tmp_path_factory):
    """An API server that knows the fleet."""
    with running_server(tmp_path_factory.mktemp("events"), [PROJECT / "dags" / "q04_fleet.py"]) as server:
        yield server


@pytest.fixture
def airflow(server) -> Airflow:
    return Airflow(server.url, Settings.load().secrets["ADMIN_PASSWORD"])


@pytest.fixture
def scheduler(server, request) -> Iterator[Scheduler]:
    """Of a carrier of the test's own."""
    scheduler = Scheduler(server.database, request.param)
    yield scheduler
    scheduler.close()


def of(carrier: str):
    return pytest.mark.parametrize("scheduler", [carrier], indirect=True)


@of("UA")
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


@of("B6")
def test_the_trap_of_several_events_between_two_looks_a_run_is_given_the_first(scheduler):
    scheduler.publish("2013-06-01", "2013-06-02", "2013-06-03")
    scheduler.look()
    scheduler.look()
    assert scheduler.runs() == [["2013-06-01"]], "the others wait for one more event"
    scheduler.publish("2013-06-04")
    scheduler.look()
    assert scheduler.runs() == [["2013-06-01"], ["2013-06-02", "2013-06-03", "2013-06-04"]]


@of("EV")
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


@of("DL")
def test_the_trap_the_events_of_a_deleted_run_are_gone_unless_it_was_the_last(scheduler, airflow):
    def delete(number: int) -> None:
        run = airflow.pages(f"/dags/{scheduler.dag_id}/dagRuns?order_by=run_after", "dag_runs")[number]
        airflow.request("DELETE", f"/dags/{scheduler.dag_id}/dagRuns/{run['dag_run_id']}", expect=(204,))

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


@of("AA")
def test_what_a_paused_consumer_missed_is_handed_over_once(scheduler, airflow):
    scheduler.publish("2013-06-01")
    scheduler.look()
    scheduler.set(is_paused=True)
    scheduler.publish("2013-06-02", "2013-06-03")
    scheduler.set(is_paused=False)
    (missed,) = hand_over(airflow, scheduler.dag_id)
    assert (missed.asset, missed.events, missed.others) == (scheduler.asset, 2, ())
    assert str(missed) == "2 of fleet.published.AA"
    scheduler.look()
    assert scheduler.runs()[1:] == [["2013-06-02", "2013-06-03", "2013-06-03"]]
    assert hand_over(airflow, scheduler.dag_id) == [], "a second time there is nothing to hand over"
    scheduler.look()
    assert len(scheduler.runs()) == 2


@of("MQ")
def test_a_place_in_the_queue_from_before_the_pause_does_not_hold_the_rest_back(scheduler, airflow):
    """The run of that place would be given what came before it, and an event finds the place taken."""
    scheduler.publish("2013-06-01")
    scheduler.set(is_paused=True)
    scheduler.publish("2013-06-02")
    scheduler.set(is_paused=False)
    assert [each.events for each in Server(airflow).hand_over_missed_events and hand_over(airflow, scheduler.dag_id)] == [2]
    scheduler.look()
    assert scheduler.runs() == [["2013-06-01", "2013-06-02", "2013-06-02"]]


def test_a_dag_without_assets_and_one_that_is_unknown_have_missed_nothing(airflow):
    assert Server(airflow).hand_over_missed_events("fleet_ingest_UA") == []
    assert Server(airflow).hand_over_missed_events("nowhere") == []
