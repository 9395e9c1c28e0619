"""Runs a DAG of this project in this process, on a scratch metadata database."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from support import PROJECT, interval


def pytest_collection_modifyitems(items):
    """Mark what lies in this folder as the tier `dag`."""
    for item in items:
        if "tests/dag/" in item.nodeid:
            item.add_marker(pytest.mark.dag)


@pytest.fixture(scope="session")
def dag_of(metadata_database) -> Callable:
    """A DAG by the name of its file, and by its id where the file has several, parsed as Airflow parses it."""
    from airflow.dag_processing.dagbag import DagBag

    def parse(file: str, dag_id: str | None = None):
        bag = DagBag(dag_folder=PROJECT / "dags" / f"{file}.py")
        assert not bag.import_errors
        if dag_id:
            return bag.dags[dag_id]
        (dag,) = bag.dags.values()
        return dag

    return parse


@pytest.fixture
def run_day(dag_of, monkeypatch) -> Callable:
    """Run a DAG for one local day with dag.test(); returns (state of the run, {task: (state, try number)}, run).

    dag.test() infers the data interval of a manual run, which is the one *before* the logical date: hence the next day.
    """

    def run(file: str, day: str, feed: str | None = None, dag_id: str | None = None, conf: dict | None = None):
        from airflow.utils.session import create_session

        if feed:
            monkeypatch.setenv("AIRFLOW_VAR_FLIGHTS_FEED", str(feed))
        next_day = str(date.fromisoformat(day) + timedelta(days=1))
        dag = dag_of(file, dag_id)
        dag.deadline = None  # on 3.3.2 dag.test() raises when a run of a DAG with a deadline succeeds
        result = dag.test(logical_date=interval(next_day)[0], run_conf=conf)
        with create_session() as session:
            from airflow.models import DagRun

            run = session.get(DagRun, result.id)
            tasks = {each.task_id: (str(each.state), each.try_number) for each in run.task_instances}
        assert run.data_interval_start == interval(day)[0]
        return str(run.state), tasks, run

    return run
