"""Runs DAGs through Airflow's REST API: finds a DAG, starts it for given days, and watches its runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from graphlib import TopologicalSorter
from typing import Any

from answers.stack.endpoints import Endpoints, run_of
from answers.stack.rest import ApiError
from include.waiting import Deadline, poll

__all__ = ["FINAL", "Airflow", "ApiError", "Run", "run_of"]
FINAL = ("success", "failed")


@dataclass(frozen=True)
class Run:
    """State of one DAG run: `tasks` maps task id, task[0] and so on if mapped, to (state, try number, seconds)."""

    dag_id: str
    run_id: str
    state: str
    tasks: dict[str, tuple[str, int, float | None]]

    @property
    def done(self) -> bool:
        """Tell whether the run has ended."""
        return self.state in FINAL


class Airflow(Endpoints):
    """Operates one Airflow. Addresses and password: ANSWERS_API_URL and ANSWERS_API_PASSWORD, else the embedded stack's.

    :raises ApiError: with the remedy, from every method
    """

    def __init__(self, url: str | None = None, password: str | None = None) -> None:
        super().__init__(url, password)
        self._orders: dict[str, list[str]] = {}

    def dag_ids(self) -> list[str]:
        """Return the id of every DAG that Airflow knows."""
        return [dag["dag_id"] for dag in self.dags()]

    def find_dag(self, name: str, patience: float | Deadline = 60) -> str:
        """Find the DAG called `name`, or the only one whose id begins with `name` and an underscore (q01 -> q01_...)."""
        for _ in poll(patience):  # the DAG processor may not have parsed it yet
            known = self.dag_ids()
            found = [each for each in known if each == name] or [each for each in known if each.startswith(f"{name}_")]
            if len(found) == 1:
                return found[0]
            if found:
                break
        broken = "".join(f"\n{each['filename']}: {each['stack_trace'].strip()}" for each in self.import_errors())
        raise ApiError(f"no single DAG {name!r} among {', '.join(known) or 'none'}{broken}")

    def start(self, dag_id: str, day: date, params: dict[str, Any] | None = None) -> str:
        """Run a DAG for one local day. Where the day has a run already, that one is run again, with its own params.

        :returns: the run's id
        """
        self.unpause(dag_id)
        planned = run_of(day)
        if self.trigger_day(dag_id, day, params):
            return str(planned["dag_run_id"])
        at = planned["logical_date"]
        runs = self.runs(dag_id, logical_date_gte=at, logical_date_lte=at)
        if not runs:
            raise ApiError(f"{dag_id} has another run called {planned['dag_run_id']}: delete it in the UI")
        run_id = str(runs[0]["dag_run_id"])
        if runs[0]["state"] in FINAL:
            self.clear(dag_id, run_id)
        return run_id

    def run(self, dag_id: str, run_id: str) -> Run:
        """Return the state of a run and of its tasks, upstream ones first."""
        record = self.run_record(dag_id, run_id)
        if record is None:
            raise ApiError(f"{dag_id} has no run {run_id}: it may have been deleted", 404)
        instances = self.task_instances(dag_id, run_id)
        place = {task_id: number for number, task_id in enumerate(self._order(dag_id))}
        instances.sort(key=lambda each: (place.get(each["task_id"], len(place)), each.get("map_index", -1)))
        tasks = {_name(each): (each["state"] or "none", each["try_number"], each["duration"]) for each in instances}
        return Run(dag_id, run_id, record["state"], tasks)

    def _order(self, dag_id: str) -> list[str]:
        if dag_id not in self._orders:
            tasks = self.tasks(dag_id)
            sorter: TopologicalSorter[str] = TopologicalSorter({task["task_id"]: () for task in tasks})
            for task in tasks:
                for downstream in task["downstream_task_ids"]:
                    sorter.add(downstream, task["task_id"])
            self._orders[dag_id] = list(sorter.static_order())
        return self._orders[dag_id]

    def watch(self, dag_id: str, run_ids: list[str], patience: float | Deadline) -> Iterator[list[Run]]:
        """Yield the runs' states, again and again until all have ended.

        :raises ApiError: they have not after `patience` seconds (include/waiting.py)
        """
        deadline = Deadline.of(patience)
        for _ in poll(deadline):
            runs = [self.run(dag_id, run_id) for run_id in run_ids]
            yield runs
            if all(run.done for run in runs):
                return
        waiting = ", ".join(run.run_id for run in runs if not run.done)
        raise ApiError(f"not finished after {deadline.seconds:.0f} s: {waiting} (they go on; watch them in the UI)")


def _name(instance: dict[str, Any]) -> str:
    index = instance.get("map_index", -1)
    return instance["task_id"] if index < 0 else f"{instance['task_id']}[{index}]"
