"""Holds the Answers page against its budgets, on a stack of its own: first paint, bytes, and what a poll costs."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from typing import Any

import httpx
import psycopg2

from bench.browser import PATIENCE, Page, browser
from bench.fleet import live
from bench.harness import PROJECT
from include.waiting import wait_until

BUDGETS = {"first_paint_ms": 300, "shell_bytes": 60_000, "script_bytes": 25_000, "poll_ms": 30, "poll_queries": 3}
DAG, RUNS, TIMES = "q10_canary", 10_000, 15
MANY = """
INSERT INTO dag_run (dag_id, run_id, run_type, state, run_after, start_date, end_date, clear_number)
SELECT %s, 'bench-' || n, 'manual', 'success', at, at, at + interval '3 seconds', 0
FROM (SELECT n, timestamptz '2012-01-01' + n * interval '1 minute' AS at FROM generate_series(1, %s) AS n) AS made
"""
# In a process with the stack's environment: what a poll asks the metadata database, and how long that takes without HTTP.
POLL = """
import json, sys, time
from answers.page.evidence import dags_of, evidence
from answers.proof.catalog import load_questions
from airflow import settings
from airflow.utils.session import create_session
from sqlalchemy import event
(question,) = [each for each in load_questions() if each.id == sys.argv[1]]
asked, took = [], []
event.listen(settings.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
for _ in range(int(sys.argv[2])):
    asked.clear()
    begun = time.perf_counter()
    with create_session() as session:
        evidence(question, dags_of(question), session)
    took.append((time.perf_counter() - begun) * 1000)
print("TOLD", json.dumps([len(asked), sorted(took)[len(took) // 2]]))
"""


def page() -> dict:
    """Measure the page with 10,000 runs of a DAG beside the one that it tells of. Every figure is a median."""
    with live() as (settings, airflow):
        airflow.find_dag(DAG)
        *_, (run,) = airflow.watch(DAG, [airflow.start(DAG, date(2013, 6, 13))], 600)
        assert run.state == "success", run
        with closing(psycopg2.connect(settings.database().replace("+psycopg2", ""))) as connection, connection:
            connection.cursor().execute(MANY, (DAG, RUNS))
        headers = {"Authorization": f"Bearer {token(settings)}"}
        with signed_in(settings, 1280, 900) as shown:
            paints, sizes = zip(*[_loaded(shown, f"{settings.url}/answers/?q=q01") for _ in range(TIMES)], strict=True)
        with httpx.Client(base_url=f"{settings.url}/answers/", headers=headers, trust_env=False) as client:
            polls = [_seconds(client, "api/evidence/q10") * 1000 for _ in range(TIMES)]
        command = [sys.executable, "-c", POLL, "q10", str(TIMES)]
        done = subprocess.run(
            command, env=settings.environment(), cwd=PROJECT, capture_output=True, text=True, check=True
        )
        queries, asked = json.loads(done.stdout.rpartition("TOLD ")[2])
    script = (PROJECT / "answers/page/static/page.js").stat().st_size
    measured = {
        "first_paint_ms": round(statistics.median(paints[1:])),  # the first one is of a cold server
        "shell_bytes": round(statistics.median(sizes)),
        "script_bytes": script,
        "poll_ms": round(statistics.median(polls[1:]), 1),
        "poll_queries": queries,
    }
    return {
        "runs": RUNS,
        **measured,
        "of_the_poll_database_ms": round(asked, 1),
        "budgets": BUDGETS,
        "kept": {name: value <= BUDGETS[name] for name, value in measured.items()},
        "load": [round(each, 1) for each in os.getloadavg()],
    }


def token(settings: Any) -> str:
    """Sign in as admin; returns the token."""
    sign_in = {"username": "admin", "password": settings.secrets["ADMIN_PASSWORD"]}
    answer = httpx.post(f"{settings.url}/auth/token", json=sign_in, trust_env=False).raise_for_status()
    return str(answer.json()["access_token"])


@contextmanager
def signed_in(settings: Any, width: int, height: int) -> Iterator[Page]:
    """Open a browser of these pixels that has signed in as admin."""
    with browser(width, height) as shown:
        shown.call("Network.setCookie", name="_token", value=token(settings), url=settings.url)
        yield shown


def _loaded(shown: Page, address: str) -> tuple[float, int]:
    """Load an address without the browser's cache; returns ms until the first paint, and bytes of all but the data."""
    shown.call("Network.setCacheDisabled", cacheDisabled=True)
    shown.call("Page.navigate", url="about:blank")
    shown.show(address, ["Claims"])
    code = """JSON.stringify([performance.getEntriesByName("first-contentful-paint").map((each) => each.startTime),
        [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
        .filter((each) => !each.name.includes("/api/")).map((each) => each.transferSize)])"""

    def told() -> tuple[list[float], list[int]]:
        paint, sizes = json.loads(shown.call("Runtime.evaluate", expression=code)["result"]["value"])
        return paint, sizes

    wait_until(lambda: told()[0], PATIENCE, "the first paint", error=SystemExit)
    (paint,), sizes = told()
    return paint, sum(sizes)


def _seconds(client: httpx.Client, path: str) -> float:
    begun = time.perf_counter()
    client.get(path).raise_for_status()
    return time.perf_counter() - begun
