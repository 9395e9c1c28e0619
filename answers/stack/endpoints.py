"""Names the addresses of Airflow's REST API: one method for each one that this project uses, and no path elsewhere."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from answers.stack.rest import Rest
from include.flights.days import midnight

ALL = "~"  # the API's wildcard: of every DAG, of every run


def run_of(day: date) -> dict[str, Any]:
    """Describe a DAG's run for one local day as its schedule would make it, for the API.

    The data interval is given explicitly: Airflow infers the *previous* one for a manual run at a logical date.
    """
    start, stop = (midnight(each).isoformat() for each in (day, day + timedelta(days=1)))
    return {
        "dag_run_id": f"answers__{day}",
        "logical_date": start,
        "data_interval_start": start,
        "data_interval_end": stop,
    }


class Endpoints(Rest):
    """Asks and tells one thing at a time. A record is the API's JSON document.

    :raises ApiError: with the remedy, from every method
    """

    # -- DAGs

    def dags(self, **where: Any) -> list[dict[str, Any]]:
        """List the DAGs, by id. `where` narrows them, e.g. paused=True."""
        return self.pages("/dags", "dags", order_by="dag_id", **where)

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        """Return a DAG, or None where Airflow does not know it."""
        answer = self.request("GET", f"/dags/{_quoted(dag_id)}", expect=(200, 404))
        return dict(answer.json()) if answer.status_code == 200 else None

    def tasks(self, dag_id: str) -> list[dict[str, Any]]:
        """List the tasks of a DAG."""
        return list(self.request("GET", f"/dags/{_quoted(dag_id)}/tasks").json()["tasks"])

    def task(self, dag_id: str, task_id: str) -> dict[str, Any]:
        """Return one task of a DAG."""
        return dict(self.request("GET", f"/dags/{_quoted(dag_id)}/tasks/{_quoted(task_id)}").json())

    def dag_versions(self, dag_id: str) -> list[dict[str, Any]]:
        """List the versions of a DAG, the newest one first."""
        return self.pages(f"/dags/{_quoted(dag_id)}/dagVersions", "dag_versions", order_by="-version_number")

    def pause(self, dag_id: str) -> None:
        """Pause a DAG. One that is gone is left alone."""
        self._set_paused(dag_id, True, (200, 404))

    def unpause(self, dag_id: str, if_known: bool = False) -> None:
        """Resume a DAG.

        :param if_known: leave alone one that is gone, instead of an error
        """
        self._set_paused(dag_id, False, (200, 404) if if_known else (200,))

    def _set_paused(self, dag_id: str, paused: bool, expect: tuple[int, ...]) -> None:
        self.request("PATCH", f"/dags/{_quoted(dag_id)}", json={"is_paused": paused}, expect=expect)

    def unpause_all(self, prefix: str = "") -> None:
        """Resume the DAGs whose ids begin with `prefix`."""
        query = {"dag_id_prefix_pattern": prefix} if prefix else {"dag_id_pattern": ALL}
        query |= {"paused": "true", "limit": "100"}
        self.request("PATCH", f"/dags?{urlencode(query)}", json={"is_paused": False})

    def import_errors(self) -> list[dict[str, Any]]:
        """List the DAG files that could not be parsed."""
        return self.pages("/importErrors", "import_errors")

    def parse_file(self, token: str) -> None:
        """Have a DAG's file parsed soon: `token` is its DAG's `file_token`. Asking again changes nothing."""
        self.request("PUT", f"/parseDagFile/{token}", expect=(200, 201, 404, 409))

    # -- Runs

    def trigger(
        self, dag_id: str, run_id: str, conf: dict[str, Any] | None = None, dates: dict[str, Any] | None = None
    ) -> bool:
        """Create a run, without a logical date unless `dates` has one.

        :returns: whether it is new; False where the DAG has a run of this id or of this logical date
        """
        body = {"logical_date": None, **(dates or {}), "dag_run_id": run_id, "conf": conf or {}}
        answer = self.request("POST", _runs(dag_id), json=body, expect=(200, 201, 409))
        return answer.status_code != 409

    def trigger_day(self, dag_id: str, day: date, conf: dict[str, Any] | None = None) -> bool:
        """Create the run of a local day as its schedule would. Returns whether it is new."""
        dates = run_of(day)
        return self.trigger(dag_id, dates["dag_run_id"], conf, dates)

    def runs(self, dag_id: str = ALL, **where: Any) -> list[dict[str, Any]]:
        """List the runs of a DAG, or of all DAGs. `where` narrows and orders them, e.g. state=["queued", "running"]."""
        return self.pages(_runs(dag_id), "dag_runs", **where)

    def newest_run(self, dag_id: str, **where: Any) -> dict[str, Any] | None:
        """Return the newest run of a DAG, or None where it has none or Airflow does not know the DAG."""
        query = urlencode({"order_by": "-run_after", "limit": 1, **where}, doseq=True)
        answer = self.request("GET", f"{_runs(dag_id)}?{query}", expect=(200, 404))
        return next(iter(answer.json()["dag_runs"]), None) if answer.status_code == 200 else None

    def runs_of_dags(self, dag_ids: list[str], **where: Any) -> list[dict[str, Any]]:
        """List the runs of some DAGs, the newest one first."""
        return self.listed(_runs(ALL) + "/list", "dag_runs", dag_ids=dag_ids, order_by="-id", **where)

    def run_record(self, dag_id: str, run_id: str) -> dict[str, Any] | None:
        """Return a run, or None where there is none of this id."""
        answer = self.request("GET", _run(dag_id, run_id), expect=(200, 404))
        return dict(answer.json()) if answer.status_code == 200 else None

    def delete_run(self, dag_id: str, run_id: str) -> None:
        """Delete a run, if it is there."""
        self.request("DELETE", _run(dag_id, run_id), expect=(204, 404))

    def clear(self, dag_id: str, run_id: str, tasks: list[str] | None = None) -> None:
        """Clear a run, or some of its tasks, so that they run again."""
        if tasks is None:
            self.request("POST", f"{_run(dag_id, run_id)}/clear", json={"dry_run": False, "only_failed": False})
            return
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": tasks, "only_failed": False, "reset_dag_runs": True}
        self.request("POST", f"/dags/{_quoted(dag_id)}/clearTaskInstances", json=body)

    def missed_deadlines(self, dag_id: str) -> list[dict[str, Any]]:
        """List the deadlines that a DAG's runs have missed. Asks where the UI does: on 3.3 the public API has none."""
        return self.pages(f"{_run(dag_id, ALL)}/deadlines", "deadlines", "/ui", missed="true", order_by="deadline_time")

    # -- Tasks of a run

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """List the task instances of a run."""
        return self.pages(f"{_run(dag_id, run_id)}/taskInstances", "task_instances")

    def task_instances_of_dags(self, dag_ids: list[str], **where: Any) -> list[dict[str, Any]]:
        """List the task instances of some DAGs' runs, the first one to start first."""
        path = f"{_run(ALL, ALL)}/taskInstances/list"
        return self.listed(path, "task_instances", dag_ids=dag_ids, order_by="start_date", **where)

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> str:
        """Return the text of a task's log, one line an event. A mapped task is named as in `Run.tasks`: task[0]."""
        task_id, index = _mapped(task_id)
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/logs/{max(try_number, 1)}"
        content = self.request("GET", f"{path}?full_content=true&map_index={index}").json()["content"]
        return "\n".join(line for event in content for line in _lines(event))

    def xcom(self, dag_id: str, run_id: str, task_id: str, required: bool = True) -> Any:
        """Return what a task returned. A mapped task is named as in `Run.tasks`: task[0].

        :param required: it is an error if the task returned nothing; None is returned otherwise
        """
        task_id, index = _mapped(task_id)
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/xcomEntries/return_value"
        expect = (200,) if required else (200, 404)
        answer = self.request("GET", f"{path}?deserialize=true&map_index={index}", expect=expect)
        return answer.json()["value"] if answer.status_code == 200 else None

    # -- Variables, connections, pools

    def variable(self, key: str) -> str:
        """Return the value of a Variable of the metadata database."""
        return str(self.request("GET", f"/variables/{_quoted(key)}").json()["value"])

    def set_variable(self, key: str, value: str) -> None:
        """Change a Variable of the metadata database."""
        self.request("PATCH", f"/variables/{_quoted(key)}", json={"key": key, "value": value})

    def add_connection(self, connection_id: str, conn_type: str, **fields: Any) -> None:
        """Add a connection to the metadata database."""
        self.request("POST", "/connections", json={"connection_id": connection_id, "conn_type": conn_type, **fields})

    def pools(self) -> dict[str, dict[str, Any]]:
        """Return the pools by name, with their slots."""
        return {pool["name"]: pool for pool in self.pages("/pools", "pools")}

    # -- Assets and their events

    def assets(self, dag_id: str) -> list[dict[str, Any]]:
        """List the assets that a DAG is scheduled on, or writes."""
        return self.pages("/assets", "assets", dag_ids=dag_id)

    def asset_events(self, **where: Any) -> list[dict[str, Any]]:
        """List events, the oldest one first.

        :raises ApiError: also with status 500, on Airflow 3.3.2 while a run that one of them has started is queued
        """
        return self.pages("/assets/events", "asset_events", order_by="timestamp", **where)

    def create_asset_event(self, asset_id: int, extra: dict[str, Any], partition_key: str | None) -> None:
        """Make an event of an asset."""
        body = {"asset_id": asset_id, "extra": extra, "partition_key": partition_key}
        self.request("POST", "/assets/events", json=body)

    def queued_events(self, dag_id: str) -> list[dict[str, Any]]:
        """List the events that wait for a DAG's next run. None wait for a DAG that Airflow does not know."""
        answer = self.request("GET", _queue(dag_id), expect=(200, 404))
        return list(answer.json()["queued_events"]) if answer.status_code == 200 else []

    def drop_queued_events(self, dag_id: str) -> None:
        """Forget that events wait for a DAG's next run; the events stay."""
        self.request("DELETE", _queue(dag_id), expect=(204, 404))

    def events_that_started(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """List the events that a run was given. Airflow 3.3.2 answers 500 for a run that has not begun."""
        return list(self.request("GET", f"{_run(dag_id, run_id)}/upstreamAssetEvents").json()["asset_events"])

    # -- The UI

    def link(self, dag_id: str, run_id: str | None = None) -> str:
        """Return the address at which people see a DAG, or one of its runs."""
        run = f"/runs/{_quoted(run_id)}" if run_id else ""
        return f"{self.url}/dags/{_quoted(dag_id)}{run}"


def _quoted(text: str) -> str:
    return quote(text, safe="~")


def _runs(dag_id: str) -> str:
    return f"/dags/{_quoted(dag_id)}/dagRuns"


def _run(dag_id: str, run_id: str) -> str:
    return f"{_runs(dag_id)}/{_quoted(run_id)}"


def _queue(dag_id: str) -> str:
    return f"/dags/{_quoted(dag_id)}/assets/queuedEvents"


def _mapped(name: str) -> tuple[str, int]:
    """Return the id and the map index (-1: not mapped) of a task that is called as in `Run.tasks`."""
    task_id, bracket, index = name.partition("[")
    return task_id, int(index.rstrip("]")) if bracket else -1


def _lines(event: Any) -> list[str]:
    """Put a log event into words: its text, and the error with its chain of causes where it carries one."""
    if not isinstance(event, dict):
        return [str(event)]
    if event.get("event", "").startswith("::"):  # a fold of the UI
        return []
    lines = [f"{(event.get('timestamp') or '')[:19]} {event.get('level', ''):<7} {event['event']}".strip()]
    for error in event.get("error_detail") or []:
        lines.append(f"  {error.get('exc_type')}: {error.get('exc_value')}")
    return lines
