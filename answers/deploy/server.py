"""Asks Airflow what a deploy needs to know, by its REST API and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from answers.operate.missed_events import hand_over_events
from answers.stack.bundles import NAME
from answers.stack.client import Airflow, ApiError

UNDER_WAY = ("running", "queued")
AT_ONCE = 20  # files that Airflow is asked to parse


class Server:
    """Airflow, as far as a deploy needs it. Errors are ApiError, with the remedy."""

    def __init__(self, airflow: Airflow) -> None:
        self._airflow = airflow

    def versions(self) -> dict[str, str | None]:
        """Return the DAGs of the bundle that exist at present: id -> the commit that they were last parsed at.

        :raises ApiError: this Airflow has no DAGs from the bundle
        """
        dags = self._airflow.dags()
        bundles = {each["bundle_name"] for each in dags}
        if dags and NAME not in bundles:
            raise ApiError(
                f"{self._airflow.url} has its DAGs from {', '.join(sorted(map(str, bundles)))}, not from Git: "
                "start it with `answers up --dags git` (or docker-compose.git.yaml)"
            )
        return {each["dag_id"]: each["bundle_version"] for each in dags if each["bundle_name"] == NAME}

    def scheduled_from(self, dag_id: str) -> str | None:
        """Return the commit of the document that the scheduler makes a DAG's next run from."""
        versions = self._airflow.dag_versions(dag_id)
        return versions[0]["bundle_version"] if versions else None

    def ask_to_refresh(self, behind: Sequence[str]) -> None:
        """Have the bundle looked at now, and not at its next interval, and the files of the DAGs that are behind parsed.

        Without, Airflow parses at once only what a commit has changed, and what it has not within `min_file_process_interval`.
        Files that are asked for go before all others: not many at a time, lest a busy parser never comes to the rest.
        """
        dags = self._airflow.dags(bundle_name=NAME)
        wanted = [each for each in dags if each["dag_id"] in behind] or dags[:1]
        for token in list(dict.fromkeys(each["file_token"] for each in wanted))[:AT_ONCE]:
            self._airflow.parse_file(token)

    def import_errors(self, since: datetime) -> dict[str, str]:
        """Return the files of the bundle that could not be parsed since an instant -> the last line of the error."""
        return {
            each["filename"]: each["stack_trace"].strip().splitlines()[-1]
            for each in self._airflow.import_errors()
            if each["bundle_name"] == NAME and datetime.fromisoformat(each["timestamp"]) >= since
        }

    def is_paused(self, dag_id: str) -> bool:
        """Tell whether a DAG is paused; one that Airflow does not know is not."""
        dag = self._airflow.dag(dag_id)
        return dag is not None and bool(dag["is_paused"])

    def pause(self, dag_id: str, paused: bool) -> None:
        """Pause a DAG, or resume it. One that is gone is left alone."""
        if paused:
            self._airflow.pause(dag_id)
        else:
            self._airflow.unpause(dag_id, if_known=True)

    def under_way(self, dag_id: str) -> list[str]:
        """Return the runs of a DAG that are running or queued."""
        return [run["dag_run_id"] for run in self._airflow.runs_of_dags([dag_id], states=list(UNDER_WAY))]

    def hand_over_missed_events(self, dag_id: str) -> list[str]:
        """Have a DAG given the asset events that came while it was paused. Tells how many of which asset."""
        return [str(each) for each in hand_over_events(self._airflow, dag_id)]

    def start(self, dag_id: str, run_id: str) -> None:
        """Start a run; where it was started before, that one is it."""
        self._airflow.trigger(dag_id, run_id)

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return a run: its `state` and its `bundle_version`, among others."""
        run = self._airflow.run_record(dag_id, run_id)
        if run is None:
            raise ApiError(f"{dag_id} has no run {run_id}: it may have been deleted", 404)
        return run

    def link(self, dag_id: str, run_id: str) -> str:
        """Return the address at which people see a run."""
        return self._airflow.link(dag_id, run_id)
