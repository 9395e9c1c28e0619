"""Measures the fleet, each time on a stack of its own: what a day takes, what priorities are worth, what waiting costs."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import psutil
import yaml

from bench.harness import PROJECT
from bench.transitions import OCCUPIED, Recorder, first, most_at_once, seconds_in
from include.files import write_atomically
from include.waiting import wait_until

BUNDLES = [
    {"name": name, "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": kwargs}
    for name, kwargs in (("dags-folder", {}), ("bench", {"path": str(PROJECT / "bench" / "dags")}))
]


@contextmanager
def live(dags: str | None = None, **environment: str) -> Iterator[tuple]:
    """Return a stack of its own: (settings, REST client).

    :param dags: "git" for DAGs from a repository
    """
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"ANSWERS_HOME": f"{home}/stack", **environment}
        from answers.stack import lifecycle
        from answers.stack.client import Airflow

        settings = lifecycle.up(lambda line: None, dags=dags)
        try:
            yield settings, Airflow(settings.url, settings.secrets["ADMIN_PASSWORD"])
        finally:
            lifecycle.down(lambda line: None)
            for name in environment:
                del os.environ[name]


def until(ready: Callable[[], bool], patience: float = 120) -> None:
    wait_until(ready, patience, "what is measured next", pause=0.5, error=SystemExit)


def parser_share(settings, seconds: float = 40) -> float:
    """Return the share of one core that the DAG processor and the parsers it forks take while nothing runs."""
    from answers.stack import parts

    pid = next(part["pid"] for part in parts.status(settings) if part["part"] == "dag-processor")
    before = psutil.Process(pid).cpu_times()
    time.sleep(seconds)  # the window of the measurement
    after = psutil.Process(pid).cpu_times()
    spent = sum(getattr(after, field) - getattr(before, field) for field in before._fields if field != "iowait")
    return spent / seconds


def parse_times() -> tuple[float, float]:
    """Measure the milliseconds to execute dags/q04_fleet.py: for the DAG processor, and for the task of one DAG."""
    from bench.harness import python, repeated

    code = """
import os, runpy, statistics, time
import airflow.sdk, croniter, pendulum
import airflow.providers.standard.sensors.external_task, airflow.providers.standard.decorators.python
if {one}:
    os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] = "fleet_transform_UA"
def once():
    start = time.perf_counter()
    runpy.run_path("dags/q04_fleet.py")
    return (time.perf_counter() - start) * 1000
once()
print(statistics.median(once() for _ in range(5)))
"""
    return tuple(repeated(lambda one=one: float(python(code.format(one=one))), 3) for one in (False, True))


def fleet() -> dict:
    """Measure parsing, a whole day, the pools' limits under contention, and the critical path with and without priorities."""
    from answers.operate import fleet as fleet_run
    from include.fleet.model import FILE, load_fleet

    every, one = parse_times()
    document = yaml.safe_load(FILE.read_text())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fleet.yaml"

        def configure(priorities: bool) -> None:
            write_atomically(
                file, yaml.safe_dump(document | {"settings": document["settings"] | {"priorities": priorities}})
            )

        configure(True)
        with live(ANSWERS_FLEET=str(file)) as (settings, airflow):
            airflow.find_dag("fleet_scorecard")
            members = list(load_fleet(file).members)
            recorder = Recorder(settings)
            days: dict[bool, list[dict]] = {True: [], False: []}
            most: dict[str, int] = {}
            for priorities, day in ((True, "2013-06-12"), (False, "2013-06-13")):
                configure(priorities)
                wanted = 100 if priorities else 1
                headline = ("fleet_rollup_headline", "by_airport")
                until(lambda task=headline, w=wanted: airflow.task(*task)["priority_weight"] == w)
                before, begun = len(recorder.changes()), time.perf_counter()
                fleet_run.start_day(airflow, members, date.fromisoformat(day))
                *_, states = fleet_run.watch_day(airflow, members, date.fromisoformat(day), 600)
                seconds = time.perf_counter() - begun
                assert {each.state for each in states} == {"success"}, states
                changes = recorder.changes()[before:]
                origin = changes[0].at
                took = {
                    name: (first(changes, f"fleet_rollup_{name}", "done", "success") - origin).total_seconds()
                    for name in ("headline", "network")
                }
                days[priorities].append({"day": seconds, **took})
                for pool in ("fleet", "warehouse"):
                    most[pool] = max(most.get(pool, 0), most_at_once(changes, pool))
                wanting = most_at_once(changes, "fleet", ("scheduled", *OCCUPIED))
            slots = {name: pool["slots"] for name, pool in airflow.pools().items()}
            until(lambda: not any(pool["occupied_slots"] for pool in airflow.pools().values()))
            idle = parser_share(settings)

    def median(priorities: bool, what: str) -> float:
        return round(statistics.median(each[what] for each in days[priorities]), 1)

    return {
        "dags": len(members),
        "parse_all_ms": round(every, 1),
        "parse_one_ms": round(one, 1),
        "parse_ratio_one_to_all": round(one / every, 3),
        "idle_dag_processor_share_of_a_core": round(idle, 3),
        "whole_day_s": median(True, "day"),
        "tasks_wanting_the_pool_at_most": wanting,
        **{f"{pool}_slots": slots[pool] for pool in most},
        **{f"{pool}_most_at_once": count for pool, count in most.items()},
        "headline_s_with_priorities": median(True, "headline"),
        "headline_s_without": median(False, "headline"),
        "headline_ratio": round(median(True, "headline") / median(False, "headline"), 3),
        "network_s_with_priorities": median(True, "network"),
        "network_s_without": median(False, "network"),
        "network_ratio": round(median(True, "network") / median(False, "network"), 3),
    }


def waiting() -> dict:
    """Measure the slot-seconds of four consumers that wait for one upstream, and how soon each goes on after it."""
    ways = ("poke", "reschedule", "deferrable", "asset")
    with live(AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps(BUNDLES)) as (settings, airflow):
        for name in ("upstream", *ways):
            airflow.find_dag(f"waiting_{name}")
        recorder = Recorder(settings)
        day = date(2013, 6, 13)
        results: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        upstream = []
        for number in range(3):
            before = len(recorder.changes())
            this = day.replace(day=day.day + number)
            # The upstream last: all consumers that have a date are waiting before it ends.
            for name in ("poke", "reschedule", "deferrable", "upstream"):
                airflow.start(f"waiting_{name}", this)

            def used(since: int = before) -> bool:
                ended = {c.dag_id for c in recorder.changes()[since:] if (c.task_id, c.state) == ("use", "success")}
                return len(ended) == len(ways)

            until(used, 300)
            changes = recorder.changes()[before:]
            slots = seconds_in(changes, OCCUPIED)
            upstream.append(next(taken for key, taken in seconds_in(changes).items() if key[1] == "work"))
            end = first(changes, "waiting_upstream", "work", "success")
            for way in ways:
                dag_id = f"waiting_{way}"
                held = sum(taken for key, taken in slots.items() if key[:2] == (dag_id, "wait"))
                results[way].append((held, (first(changes, dag_id, "use", "running") - end).total_seconds()))
    held = {way: statistics.median(each[0] for each in results[way]) for way in ways}
    return {
        "days": len(upstream),
        "upstream_s": round(statistics.median(upstream), 1),
        "slot_seconds_waiting": {way: round(seconds, 2) for way, seconds in held.items()},
        "ratio_to_poke": {way: round(seconds / held["poke"], 3) for way, seconds in held.items()},
        "goes_on_after_s": {way: round(statistics.median(each[1] for each in results[way]), 2) for way in ways},
    }
