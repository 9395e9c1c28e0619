"""Airflow's own code for events and the runs that they start, on the database of a test's API server."""

from types import SimpleNamespace


class Scheduler:
    """The asset manager and one look of the scheduler, for the report of a carrier."""

    def __init__(self, database, carrier: str) -> None:
        from sqlalchemy import create_engine
        from sqlalchemy.orm import Session

        self._engine = create_engine(f"sqlite:///{database}")
        self._session = lambda: Session(self._engine)
        self.asset, self.dag_id = f"fleet.published.{carrier}", f"fleet_report_{carrier}"

    def publish(self, *days: str) -> None:
        """Register an event a day."""
        for day in days:
            self.announce(self.asset, {"first_day": day})

    def announce(self, name: str, extra: dict) -> None:
        """Register an event, as the end of a task that has the asset as outlet does."""
        from airflow.assets.manager import asset_manager
        from airflow.models.asset import AssetModel
        from sqlalchemy import select

        # The API shows the events of DAGs that there are.
        dag_id = name.replace("fleet.landed.", "fleet_ingest_").replace("fleet.published.", "fleet_transform_")
        task = SimpleNamespace(task_id="task", dag_id=dag_id, run_id="run", map_index=-1)
        with self._session() as session:
            asset = session.scalar(select(AssetModel).where(AssetModel.name == name))
            asset_manager.register_asset_change(task_instance=task, asset=asset, extra=extra, session=session)
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

    def set(self, dag_id: str = "", **fields) -> None:
        """Change the DAG, or another one, as the API does."""
        from airflow.models.dag import DagModel

        with self._session() as session:
            dag = session.get(DagModel, dag_id or self.dag_id)
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

    def forget(self) -> None:
        """Remove every run and event, and let every DAG be as it was."""
        from airflow.models import DagRun
        from airflow.models.asset import AssetDagRunQueue, AssetEvent
        from airflow.models.dag import DagModel
        from sqlalchemy import delete, update

        with self._session() as session:
            for run in session.query(DagRun):
                session.delete(run)
            for table in (AssetDagRunQueue, AssetEvent):
                session.execute(delete(table))
            session.execute(update(DagModel).values(is_paused=False, max_active_runs=16))
            session.commit()
        self._engine.dispose()
