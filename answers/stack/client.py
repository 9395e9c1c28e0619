"""A small client of Airflow's REST API: trigger or rerun a DAG for given days, watch it, read its logs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from graphlib import TopologicalSorter
from typing import Any
from urllib.parse import quote

import httpx

from answers.stack.settings import Settings
from include.flights.contract import midnight
from include.waiting import Deadline, looks

FINAL = ("success", "failed")
PAGE = 100  # records at a time; the API gives no more, whatever it is asked for


class ApiError(RuntimeError):
    """The REST API refused or does not answer. The text says what to do."""


@dataclass(frozen=True)
class Run:
    """State of one DAG run: `tasks` maps task id, task[0] and so on if mapped, to (state, try number, seconds)."""

    dag_id: str
    run_id: str
    state: str
    tasks: dict[str, tuple[str, int, float | None]]

    @property
    def done(self) -> bool:
        """Whether the run has ended."""
        return self.state in FINAL


class Airflow:
    """Speaks to one Airflow. Addresses and password: ANSWERS_API_URL and ANSWERS_API_PASSWORD, else the embedded stack's.

    :raises ApiError: with the remedy, from every method
    """

    def __init__(self, url: str | None = None, password: str | None = None) -> None:
        url = url or os.environ.get("ANSWERS_API_URL")
        password = password or os.environ.get("ANSWERS_API_PASSWORD")
        if not url or not password:
            settings = Settings.load()
            if not settings.ports:
                raise ApiError("the stack has never been started: run `answers up`")
            url, password = url or settings.url, password or settings.secrets["ADMIN_PASSWORD"]
        self.url = url.rstrip("/")
        self._password = password
        self._orders: dict[str, list[str]] = {}
        # A proxy of the environment has no way to this machine's loopback.
        self._http = httpx.Client(base_url=self.url, timeout=60, trust_env="//127.0.0.1" not in self.url)

    def request(
        self, method: str, path: str, expect: tuple[int, ...] = (200, 201), api: str = "/api/v2", **kwargs: Any
    ) -> httpx.Response:
        """One request, signed in. Waits out a short absence of the API (it may be restarting).

        :param api: where `path` begins; the UI's own addresses are below /ui
        """
        deadline, fresh = Deadline(60), False
        while True:
            try:
                if "Authorization" not in self._http.headers:
                    self._sign_in()
                    fresh = True
                answer = self._http.request(method, f"{api}{path}", **kwargs)
            except httpx.TransportError as error:
                # Reads can be repeated; a write may have been carried out before the answer was lost.
                if method == "GET" and not deadline.passed():
                    time.sleep(0.5)
                    continue
                raise ApiError(f"{self.url} does not answer ({error}): is the stack up? `answers status`") from error
            if answer.status_code == 401 and not fresh:
                del self._http.headers["Authorization"]  # the token has expired
                continue
            if answer.status_code not in expect:
                raise ApiError(f"{method} {path} was answered {answer.status_code}: {_detail(answer)}")
            return answer

    def _sign_in(self) -> None:
        answer = self._http.post("/auth/token", json={"username": "admin", "password": self._password})
        if answer.status_code not in (200, 201):
            raise ApiError(f"signing in to {self.url} was answered {answer.status_code}: {_detail(answer)}")
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def pages(self, path: str, key: str, api: str = "/api/v2") -> list[dict[str, Any]]:
        """Every record that GET `path` has under `key`, page by page."""
        found: list[dict[str, Any]] = []
        joint = "&" if "?" in path else "?"
        while True:
            page = self.request("GET", f"{path}{joint}limit={PAGE}&offset={len(found)}", api=api).json()
            found += page[key]
            if not page[key] or len(found) >= page["total_entries"]:
                return found

    def dag_ids(self) -> list[str]:
        """Every DAG that Airflow knows."""
        return sorted(dag["dag_id"] for dag in self.pages("/dags?order_by=dag_id", "dags"))

    def find_dag(self, name: str, patience: float | Deadline = 60) -> str:
        """The DAG called `name`, or the only one whose id begins with `name` and an underscore (q01 -> q01_...)."""
        for _ in looks(patience):  # the DAG processor may not have parsed it yet
            known = self.dag_ids()
            found = [each for each in known if each == name] or [each for each in known if each.startswith(f"{name}_")]
            if len(found) == 1:
                return found[0]
            if found:
                break
        errors = self.request("GET", "/importErrors").json()["import_errors"]
        broken = "".join(f"\n{each['filename']}: {each['stack_trace'].strip()}" for each in errors)
        raise ApiError(f"no single DAG {name!r} among {', '.join(known) or 'none'}{broken}")

    def start(self, dag_id: str, day: date, params: dict[str, Any] | None = None) -> str:
        """Run a DAG for one local day. Where the day has a run already, that one is run again, with its own params.

        The data interval is given explicitly: Airflow infers the *previous* one for a manual run at a logical date.

        :returns: the run's id
        """
        self.request("PATCH", f"/dags/{dag_id}", json={"is_paused": False})
        body = run_of(day)
        run_id = body["dag_run_id"]
        body["conf"] = params or {}
        answer = self.request("POST", f"/dags/{dag_id}/dagRuns", json=body, expect=(200, 201, 409))
        if answer.status_code == 409:
            at = quote(body["logical_date"])
            query = f"/dags/{dag_id}/dagRuns?logical_date_gte={at}&logical_date_lte={at}"
            runs = self.request("GET", query).json()["dag_runs"]
            if not runs:
                raise ApiError(f"{dag_id} has another run called {run_id}: delete it in the UI")
            run_id = runs[0]["dag_run_id"]
            if runs[0]["state"] in FINAL:
                self.clear(dag_id, run_id)
        return run_id

    def clear(self, dag_id: str, run_id: str, tasks: list[str] | None = None) -> None:
        """Clear a run, or some of its tasks, so that they run again."""
        if tasks is None:
            path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/clear"
            self.request("POST", path, json={"dry_run": False, "only_failed": False})
            return
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": tasks, "only_failed": False, "reset_dag_runs": True}
        self.request("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)

    def run(self, dag_id: str, run_id: str) -> Run:
        """The state of a run and of its tasks, upstream ones first."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"
        state = self.request("GET", path).json()["state"]
        instances = self.pages(f"{path}/taskInstances", "task_instances")
        order = self._order(dag_id)
        place = {task_id: number for number, task_id in enumerate(order)}
        instances.sort(key=lambda each: (place.get(each["task_id"], len(place)), each.get("map_index", -1)))
        tasks = {_name(each): (each["state"] or "none", each["try_number"], each["duration"]) for each in instances}
        return Run(dag_id, run_id, state, tasks)

    def _order(self, dag_id: str) -> list[str]:
        if dag_id not in self._orders:
            tasks = self.request("GET", f"/dags/{dag_id}/tasks").json()["tasks"]
            sorter: TopologicalSorter[str] = TopologicalSorter({task["task_id"]: () for task in tasks})
            for task in tasks:
                for downstream in task["downstream_task_ids"]:
                    sorter.add(downstream, task["task_id"])
            self._orders[dag_id] = list(sorter.static_order())
        return self._orders[dag_id]

    def watch(self, dag_id: str, run_ids: list[str], patience: float | Deadline) -> Iterator[list[Run]]:
        """The runs' states, again and again until all have ended.

        :raises ApiError: they have not after `patience` seconds (include/waiting.py)
        """
        deadline = Deadline.of(patience)
        for _ in looks(deadline):
            runs = [self.run(dag_id, run_id) for run_id in run_ids]
            yield runs
            if all(run.done for run in runs):
                return
        waiting = ", ".join(run.run_id for run in runs if not run.done)
        raise ApiError(f"not finished after {deadline.seconds:.0f} s: {waiting} (they go on; watch them in the UI)")

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> str:
        """The text of a task's log, one line an event. A mapped task is named as in `Run.tasks`: task[0]."""
        task_id, index = _mapped(task_id)
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/logs/{max(try_number, 1)}"
        content = self.request("GET", f"{path}?full_content=true&map_index={index}").json()["content"]
        return "\n".join(line for each in content for line in _event(each))

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """What a task returned. A mapped task is named as in `Run.tasks`: task[0]."""
        task_id, index = _mapped(task_id)
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.request("GET", f"{path}?deserialize=true&map_index={index}").json()["value"]


def run_of(day: date) -> dict[str, Any]:
    """What the API wants to know to create a DAG's run for one local day, as its schedule would."""
    start, stop = (midnight(each).isoformat() for each in (day, day + timedelta(days=1)))
    return {
        "dag_run_id": f"answers__{day}",
        "logical_date": start,
        "data_interval_start": start,
        "data_interval_end": stop,
    }


def _name(instance: dict[str, Any]) -> str:
    index = instance.get("map_index", -1)
    return instance["task_id"] if index < 0 else f"{instance['task_id']}[{index}]"


def _mapped(name: str) -> tuple[str, int]:
    """The id and the map index (-1: not mapped) of a task that is called as in `Run.tasks`."""
    task_id, bracket, index = name.partition("[")
    return task_id, int(index.rstrip("]")) if bracket else -1


def _event(event: Any) -> list[str]:
    """A log event in words: its text, and the error with its chain of causes where it carries one."""
    if not isinstance(event, dict):
        return [str(event)]
    if event.get("event", "").startswith("::"):  # a fold of the UI
        return []
    lines = [f"{(event.get('timestamp') or '')[:19]} {event.get('level', ''):<7} {event['event']}".strip()]
    for error in event.get("error_detail") or []:
        lines.append(f"  {error.get('exc_type')}: {error.get('exc_value')}")
    return lines


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]
    return detail if isinstance(detail, str) else str(detail)
