"""Measures what the served warehouse is worth: CPU and memory of a publishing task, with the engine in it and without."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from answers.stack.dotenv import free_port
from bench.harness import PROJECT
from include.waiting import wait_until

DAY = date(2013, 6, 13)
CLIENTS, EACH = 16, 50  # clients at once, statements of each
PAIRS = 5
# A task's own work, in a process of its own: the modules that a forked task finds imported are imported, and then it begins.
TASK = """
import json, re, resource, sys, time
from datetime import date
from pathlib import Path
import clickhouse_connect
from include.flights import publish
def used():  # CPU seconds, and the most memory in MB; ru_maxrss would begin with the parent's
    most = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2]), int(most[1]) / 1024
landed, options = json.loads(sys.argv[1]), json.loads(sys.argv[2])
(cpu, memory), began = used(), time.perf_counter()
day = date.fromisoformat(landed["first_day"])
with clickhouse_connect.get_client(**options) as client:
    publish.publish_day(client, Path(landed["folder"]), day, day, landed["rows"], "bench")
wall = time.perf_counter() - began
after, most = used()
print(json.dumps([after - cpu, most - memory, wall]))
"""


@contextmanager
def served(home: Path, password: str) -> Iterator[dict]:
    """Serve a warehouse; gives the arguments of its client."""
    port = free_port(0)
    code = (
        "import sys; from pathlib import Path; from answers.stack.warehouse.__main__ import serve; "
        "serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])"
    )
    command = [sys.executable, "-c", code, str(home / "warehouse"), str(port), password]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL) as server:
        try:
            import httpx

            def answers() -> bool:
                try:
                    return httpx.get(f"http://127.0.0.1:{port}/ping", trust_env=False).is_success
                except httpx.HTTPError:
                    return False

            wait_until(answers, 60, "the warehouse", error=SystemExit)
            yield {"host": "127.0.0.1", "port": port, "username": "answers", "password": password}
        finally:
            server.terminate()


def warehouse() -> dict:
    """Publish one day again and again, alternating: the engine in the task, and the served one."""
    import json

    import clickhouse_connect

    from include.flights import engine
    from include.flights.days import midnight
    from include.flights.feed import default_feed, land_interval

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        edges = midnight(DAY), midnight(date.fromordinal(DAY.toordinal() + 1))
        landed = land_interval(default_feed(), folder / "data", *edges, "bench")
        with clickhouse_connect.get_client(interface="chdb", path=":memory:") as client:
            engine.transform_files(client, Path(landed["folder"]))
        with served(folder, "bench") as options:
            inside = {"interface": "chdb", "path": str(folder / "inside")}

            def task(given: dict) -> list[float]:
                command = [sys.executable, "-c", TASK, json.dumps(landed, default=str), json.dumps(given)]
                done = subprocess.run(command, cwd=PROJECT, env=os.environ, capture_output=True, text=True, check=True)
                return json.loads(done.stdout)

            pairs = [(task(inside), task(options)) for _ in range(PAIRS)]
            names = ("cpu_s", "memory_mb", "wall_s")
            before, after = (
                {
                    name: round(statistics.median(pair[side][number] for pair in pairs), 3)
                    for number, name in enumerate(names)
                }
                for side in (0, 1)
            )
            return {
                "task_with_the_engine": before,
                "task_that_asks": after,
                "ratio": {name: round(after[name] / before[name], 3) for name in names},
                **_statements(options),
            }


def _statements(options: dict) -> dict:
    """Measure the milliseconds of small statements one after the other, and the seconds of many clients at once."""
    import clickhouse_connect

    def milliseconds(work: Callable[[], object], times: int = 50) -> float:
        def once() -> float:
            began = time.perf_counter()
            work()
            return (time.perf_counter() - began) * 1000

        return round(statistics.median(once() for _ in range(times)), 2)

    def work(who: int) -> None:
        with clickhouse_connect.get_client(**options) as mine:
            for number in range(EACH // 2):
                mine.insert("bench", [[who, number]], column_names=["who", "n"])
                mine.query(f"SELECT sum(n) FROM bench WHERE who = {who}")

    with clickhouse_connect.get_client(**options) as client:
        client.command("CREATE TABLE bench (who UInt8, n UInt32) ENGINE = MergeTree ORDER BY (who, n)")
        found = {
            "select_1_ms": milliseconds(lambda: client.command("SELECT 1")),
            "one_row_insert_ms": milliseconds(lambda: client.insert("bench", [[255, 1]], column_names=["who", "n"])),
        }
        began = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as threads:
            list(threads.map(work, range(CLIENTS)))
        return found | {f"{CLIENTS}_clients_{CLIENTS * EACH}_statements_s": round(time.perf_counter() - began, 2)}
