"""Implements what steps do inside of their child, where the candidate's code is imported."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

TABLES = ("flights", "daily_delays", "delay_features")
LOCAL_BUNDLE = "airflow.dag_processing.bundles.local.LocalDagBundle"
OWN_PACKAGES = ("include", "plugins", "dags")


def surroundings(project: str) -> dict[str, str]:
    """Return the environment that Airflow needs for runs without a stack."""
    from answers.stack import dotenv
    from answers.stack.settings import Settings

    home = Path(os.environ["ANSWERS_HOME"])
    (home / "data").mkdir(parents=True, exist_ok=True)
    settings = Settings.load()
    own = dotenv.read(Path(project) / "config" / "airflow.env") | settings.core() | settings.connections()
    own |= {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    }
    own.pop("ANSWERS_STACK", None)
    return own


def preload(runs: bool) -> None:
    """Import and make what takes long, once for all steps. Nothing of it is something that a candidate can change.

    :param runs: a step runs a DAG
    """
    import gc

    import airflow.providers.apache.spark.operators.spark_submit
    import airflow.providers.standard.operators.bash
    import airflow.providers.standard.sensors.external_task
    import airflow.sdk
    import airflow.serialization.serialized_objects  # noqa: F401

    if runs:
        _make_application()
    gc.collect()  # ends the thread of the request: there must be none when a step forks
    for each in entry_points(
        group="airflow.plugins"
    ):  # of the installed providers; the project's are read in the child
        each.load()
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN_PACKAGES]:
        del sys.modules[name]


def _make_application() -> None:
    """Make the application that dag.test() makes anew for each task. Its first request makes its routes: six seconds of CPU."""
    import httpx
    from airflow.api_fastapi.execution_api.app import InProcessExecutionAPI
    from airflow.sdk.execution_time import supervisor

    application = InProcessExecutionAPI().app
    supervisor.in_process_api_server = cache(lambda: InProcessExecutionAPI(app=application))
    with httpx.Client(transport=InProcessExecutionAPI(app=application).transport, base_url="http://here") as client:
        client.get("/health")


def caches() -> list[Path]:
    """List the folders beside the interpreter's that are read: the user's cache of jars and the empty database."""
    file = template()
    return [file.parent] if file else []


def template() -> Path | None:
    """Return the empty, migrated database that the tests keep in the user's cache."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Path(os.environ["ANSWERS_CACHE"]) / f"airflow-{version('apache-airflow')}.db"
    except (KeyError, PackageNotFoundError):
        return None


def parse(folder: str) -> dict[str, Any]:
    """Parse a folder of DAGs as the scheduler does."""
    from answers.deploy.shape import parse_folder

    return parse_folder(Path(folder))


def bootstrap() -> None:
    """Migrate the database, make the pools, set the Variables."""
    from answers.stack import bootstrap as project

    project.main()


def run(file: str, dag_id: str, day: str, conf: dict[str, Any] | None, engine: bool = False) -> dict[str, Any]:
    """Run a DAG for one local day in this process. A manual run's interval is the one before its logical date.

    :param engine: the warehouse's engine does the work of Spark's applications, whose tasks are told as `spark`
    """
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from airflow.dag_processing.dagbag import DagBag
    from airflow.models import DagRun
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    started = _without_spark() if engine else []
    folder = _alone(Path(file))
    bag = DagBag(dag_folder=str(folder / Path(file).name))
    if dag_id not in bag.dags:
        raise LookupError(f"there is no DAG {dag_id}" + "".join(f"; {text}" for text in bag.import_errors.values()))
    dag = bag.dags[dag_id]
    errors = _note_errors(dag)
    dag.deadline = None  # on 3.3.2 dag.test() raises when a run of a DAG with a deadline succeeds
    next_day = datetime.combine(
        date.fromisoformat(day) + timedelta(days=1), datetime.min.time(), ZoneInfo("America/New_York")
    )
    result = dag.test(logical_date=next_day, run_conf=conf)
    with create_session() as session:
        found = session.get(DagRun, result.id)
        assert found
        tasks = {_name(each): [str(each.state), each.try_number] for each in found.task_instances}
        values = session.query(XComModel).filter(XComModel.run_id == found.run_id, XComModel.dag_id == dag_id).all()
        xcoms = {_name(each): XComModel.deserialize_value(each) for each in values if each.key == "return_value"}
        about = {"tasks": tasks, "xcoms": xcoms, "errors": errors, "spark": started}
        return {"state": str(found.state), "run_id": found.run_id, **about}


def _note_errors(dag: Any) -> dict[str, str]:
    """Note what each task of a DAG raises, as its callback is told: {task id: "Type: text"}. Mapped tasks are left out."""
    found: dict[str, str] = {}

    def note(context: Any) -> None:
        error = context.get("exception")
        found[context["ti"].task_id] = f"{type(error).__name__}: {error}"[:2000]

    for task in dag.tasks:
        if not task.is_mapped:
            told = task.on_failure_callback or ()
            task.on_failure_callback = [*([told] if callable(told) else told), note]
    return found


def _without_spark() -> list[str]:
    """Let the warehouse's engine make what Spark's applications of flights make: the same tables, in a tenth of the time.

    :returns: the ids of the tasks that would have started one, as they come
    """
    from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

    started: list[str] = []

    def execute(operator: Any, context: Any) -> None:
        from include.flights import engine as warehouse_engine

        started.append(operator.task_id)
        client = _chdb(":memory:")
        try:
            warehouse_engine.transform_files(client, Path(operator.application_args[0]))
        finally:
            client.close()

    SparkSubmitOperator.execute = execute  # type: ignore[method-assign, assignment]
    return started


def _alone(file: Path) -> Path:
    """Make a folder of DAGs with this one file: dag.test() parses and stores the whole folder at each call."""
    folder = Path(tempfile.mkdtemp(prefix="dags-"))
    for each in file.parent.iterdir():
        if each == file or each.is_dir() or each.suffix != ".py":
            (folder / each.name).symlink_to(each)
    sys.path.append(str(file.parent))  # for modules that lie beside it
    bundle = {"name": "dags-folder", "classpath": LOCAL_BUNDLE, "kwargs": {"path": str(folder)}}
    os.environ["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps([bundle])
    return folder


def _name(instance: Any) -> str:
    return instance.task_id if instance.map_index < 0 else f"{instance.task_id}[{instance.map_index}]"


def _warehouse() -> Any:
    return _chdb(str(Path(os.environ["ANSWERS_HOME"]) / "warehouse"))


def _chdb(path: str) -> Any:
    """Open chDB in this process: a probe has no stack, so no server of the warehouse."""
    import clickhouse_connect

    return clickhouse_connect.get_client(interface="chdb", path=path)


def sql(query: str) -> Any:
    """Return the rows of a query. As a data frame: Arrow's format has instants as bare numbers."""
    client = _warehouse()
    try:
        return client.query_df(query)
    finally:
        client.close()


def fingerprints(tables: list[str]) -> dict[str, dict[str, list[int]]]:
    """Return rows and an order-independent checksum by table and day, of what is there."""
    client, found = _warehouse(), {}
    try:
        for table in tables or TABLES:
            if client.command(f"EXISTS TABLE warehouse.{table}"):
                seen = "toString(flight_date), count(), sum(cityHash64(toString(tuple(*))))"
                rows = client.query(f"SELECT {seen} FROM warehouse.{table} GROUP BY 1").result_rows  # noqa: S608
                found[table] = {day: [count, checksum] for day, count, checksum in rows}
    finally:
        client.close()
    return found


def publish(file: str) -> int:
    """Put the rows of a Parquet file into the flights of the warehouse; returns how many."""
    from pyarrow import parquet

    from include.flights import warehouse

    frame, client = parquet.read_table(file).to_pandas(), _warehouse()
    try:
        warehouse.create_tables(client)
        client.insert_df("warehouse.flights", frame)
    finally:
        client.close()
    return len(frame)


def feed(folder: Path, raw: Callable[[str], Any], day: str, changes: dict[str, Callable[[str], str]]) -> Path:
    """Write a feed of one day's real flights and of all other files, some of them changed."""
    folder.mkdir(parents=True)
    when = date.fromisoformat(day)
    flights = raw("flights.csv.zip")
    flights = flights[(flights["month"] == when.month) & (flights["day"] == when.day)]
    for name, table in (
        ("flights", flights),
        *((each, raw(f"{each}.csv")) for each in ("weather", "planes", "airports")),
    ):
        text = table.to_csv(index=False, na_rep="NA", float_format="%.15g")
        (folder / f"{name}.csv").write_text(changes.get(name, str)(text), encoding="utf-8")
    return folder


def tests(tree: str, home: str, files: list[str]) -> dict[str, Any]:
    """Run tests of a tree with pytest, in a process of its own."""
    import subprocess
    import xml.etree.ElementTree as ET

    report = Path(home) / "tests.xml"
    report.unlink(missing_ok=True)
    own = {"PYTHONPATH": os.pathsep.join([tree, f"{tree}/packages/dag-integrity/src"])}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", f"--junitxml={report}", *files]
    done = subprocess.run(command, cwd=tree, env=kept | own, check=False, stdin=subprocess.DEVNULL)
    found = {}
    if report.exists():
        for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314
            outcomes = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
            outcome = {"failure": "failed"}.get(outcomes[0], outcomes[0]) if outcomes else "passed"
            found[f"{case.get('classname')}::{case.get('name')}"] = outcome
    return {"tests": found, "exit": done.returncode}
