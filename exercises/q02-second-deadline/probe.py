"""Creates runs of the report as scheduler, API and backfill do, asks for their deadlines, and calls what a miss calls, twice."""

from answers.exercise.probe import Probe

DAG = "q02_daily_punctuality_report"
OLD = ("q02_warn_within", "q02_report_within")


def probe(p: Probe) -> None:
    """Record alerts, the deadlines of runs before and after the Variables change, and what a repeated miss leaves."""
    p.database()
    alerts = p.inside("alerts", alerts_of).get("value") or []
    p.inside("imported", imported, alerts)
    p.inside("stored", store, str(p.project / "dags"))
    day = p.hidden["day"]
    p.inside("created-fresh", create, "fresh", day)
    for name, value in zip(OLD, (p.hidden["warn"], p.hidden["report"]), strict=True):
        p.variable(name, str(value))
    p.inside("created-later", create, "later", day)
    p.inside("cleared", clear)
    p.variable("data_root", str(p.home))
    with p.catcher("ops_webhook") as server:
        for name in ("first", "again"):
            p.inside(f"missed-{name}", miss, alerts)
        p.note("told", [message["body"] for message in server.received("/deadline")])
    p.inside("records", records, str(p.home))


def alerts_of() -> list[dict]:
    """List the alerts as the DAG processor stores them."""
    import os

    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    folder = os.environ["AIRFLOW__CORE__DAGS_FOLDER"]
    document = DagSerialization.to_dict(DagBag(dag_folder=f"{folder}/{DAG}.py").dags[DAG])
    found = document["dag"].get("deadline") or []
    return [each.get("__var", each) for each in found]


def imported(alerts: list[dict]) -> dict[str, str]:
    """Import callbacks and references by their paths, where no DAG file is on the path: {path: error, or nothing}."""
    import inspect
    import sys

    from airflow.sdk.module_loading import import_string

    sys.path[:] = [path for path in sys.path if not path.rstrip("/").endswith("/dags")]
    found = {}
    for alert in alerts:
        for path in (alert["callback"]["__data__"]["path"], alert["reference"].get("__class_path")):
            if path is None:
                continue
            try:
                each = import_string(path)
                known = "/dags/" in (inspect.getsourcefile(each) or "")
                found[path] = "it lies in dags/" if known else ""
            except Exception as error:
                found[path] = f"{type(error).__name__}: {error}"
    return found


def store(folder: str) -> list[str]:
    """Store the DAG as the DAG processor does."""
    from pathlib import Path

    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.utils.session import create_session

    with create_session() as session:
        DagBundlesManager().sync_bundles_to_db(session=session)
        session.commit()
        bag = BundleDagBag(dag_folder=f"{folder}/{DAG}.py", bundle_path=Path(folder), bundle_name="dags-folder")
        if bag.import_errors:
            raise ImportError(next(iter(bag.import_errors.values())).strip().splitlines()[-1])
        sync_bag_to_db(bag, "dags-folder", None, session=session)
    return sorted(bag.dags)


def create(name: str, day: str) -> dict[str, dict]:
    """Create a scheduled run, one that is asked for, and one of a backfill: when each could begin, and its deadlines."""
    from datetime import UTC, date, datetime, timedelta
    from zoneinfo import ZoneInfo

    from airflow.models.deadline import Deadline
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType
    from sqlalchemy import select

    zone = ZoneInfo("America/New_York")
    asked, found = datetime.now(UTC), {}
    kinds = ("scheduled", "manual", "backfill")
    with create_session(scoped=False) as session:  # reading a Variable ends the thread's own session
        dag = SerializedDagModel.get(DAG, session=session).dag
        for number, kind in enumerate(kinds):
            first = date.fromisoformat(day) + timedelta(days=number + (len(kinds) if name == "later" else 0))
            start, end = (
                datetime.combine(each, datetime.min.time(), zone) for each in (first, first + timedelta(days=1))
            )
            dated = {} if kind == "manual" else {"logical_date": start, "data_interval": (start, end)}
            run = dag.create_dagrun(
                run_id=f"{kind}__{name}",
                run_after=asked if kind == "manual" else end,
                run_type=kind,
                triggered_by=DagRunTriggeredByType.TEST,
                state=DagRunState.QUEUED,
                session=session,
                **dated,
            )
            session.flush()
            times = session.scalars(select(Deadline.deadline_time).where(Deadline.dagrun_id == run.id))
            could_begin = {"scheduled": end, "manual": asked, "backfill": run.queued_at}[kind]
            found[kind] = sorted(round((each - could_begin).total_seconds()) for each in times)
    return found


def clear() -> str:
    """Do with the runs what clearing one does first."""
    from datetime import UTC, datetime

    from airflow.models import DagRun
    from airflow.models.taskinstance import _recalculate_dagrun_queued_at_deadlines
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        for run in session.scalars(select(DagRun).where(DagRun.dag_id == DAG)).all():
            _recalculate_dagrun_queued_at_deadlines(run, datetime.now(UTC), session)
        session.rollback()
    return "cleared"


def miss(alerts: list[dict]) -> list[str]:
    """Call each alert's callback as the triggerer does when the time has passed."""
    import asyncio
    from datetime import UTC, datetime

    from airflow.sdk.module_loading import import_string

    run = {"dag_id": DAG, "dag_run_id": "scheduled__missed", "state": "running"}
    said = []
    for number, alert in enumerate(alerts):
        about = alert["callback"]["__data__"]
        context = {
            "dag_run": run,
            "deadline": {"id": f"deadline-{number}", "deadline_time": datetime(2013, 6, 14, 4, 30, tzinfo=UTC)},
        }
        said.append(str(asyncio.run(import_string(about["path"])(context=context, **about["kwargs"]))))
    return said


def records(home: str) -> list[dict]:
    """Read all records of missed deadlines below a folder."""
    import json
    from pathlib import Path

    return [json.loads(file.read_text()) for file in sorted(Path(home).glob("deadline_misses/*/[!.]*.json"))]
