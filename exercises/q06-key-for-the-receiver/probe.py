"""Posts to a receiver that wants a key: from a task, from the triggerer's callback, before and after the key is changed."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from answers.exercise.probe import Probe

HEADER, NO_KEY = "X-Api-Key", "none"


class Receiver(BaseHTTPRequestHandler):
    """Takes posts that have one of the keys which are valid now, or all where there are none."""

    seen: list[dict[str, Any]]
    valid: list[str]

    def do_POST(self) -> None:
        """Note path and key; answer 200 or 401."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = self.headers.get(HEADER, NO_KEY)
        code = 200 if not self.valid or key in self.valid else 401
        self.seen.append({"path": self.path.partition("?")[0], "key": key, "code": code})
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: the log is looked through for the key."""


@contextmanager
def receiver(p: Probe) -> Iterator[type[Receiver]]:
    """Serve the receiver, and let the confined steps reach it."""
    handler = type("OneReceiver", (Receiver,), {"seen": [], "valid": [], "port": 0})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        if p.ports is not None:
            p.ports.append(server.server_port)
        try:
            yield handler
        finally:
            server.shutdown()
            thread.join()


def probe(p: Probe) -> None:
    """Record which key each post had, and where a key can be read afterwards."""
    day, (first, second) = p.hidden["day"], p.hidden["keys"]
    p.publish(day, day)
    p.variable("data_root", str(p.home / "data"))
    with receiver(p) as server:
        address = {"conn_type": "http", "host": "127.0.0.1", "port": server.port}

        def note(name: str) -> None:
            p.note(f"{name}-seen", list(server.seen))
            server.seen.clear()

        p.connection("ops_webhook", **address)
        p.run("refunds-without", "q09_refunds", day, {"now": f"{day}T23:00:00-04:00"})
        p.inside("missed-without", miss, ["a"], [])
        note("without")
        server.valid = [first, second]
        p.connection("ops_webhook", **address, extra={"api_key": first})
        p.run("refunds", "q09_refunds", day, {"now": f"{day}T22:00:00-04:00"})
        note("refunds")
        changed = json.dumps(address | {"extra": {"api_key": second}})
        p.inside("missed", miss, ["b", "c"], [changed])
        note("missed")
        server.valid = []
        p.connection("q06_partner", **address, password="a-secret-of-the-partner")  # noqa: S106
        p.inside("partner", deliver, str(p.project / "dags"), str(p.home))
        note("partner")
    p.note("found", found(p, [first, second]))


def miss(ids: list[str], changes: list[str]) -> list[str]:
    """Call the callback for each deadline, in one process as the triggerer does; between them the connection is changed."""
    import asyncio
    from datetime import UTC, datetime

    from plugins.callbacks.deadline_missed import deadline_missed

    said = []
    for number, id_ in enumerate(ids):
        if number:
            os.environ["AIRFLOW_CONN_OPS_WEBHOOK"] = changes[number - 1]
        run = {"dag_id": "any", "dag_run_id": f"run-{id_}", "state": "running"}
        context = {"dag_run": run, "deadline": {"id": id_, "deadline_time": datetime(2013, 6, 14, 4, 30, tzinfo=UTC)}}
        said.append(str(asyncio.run(deadline_missed(context=context, owner="somebody"))))
    return said


def deliver(folder: str, home: str) -> str:
    """Hand a signed manifest to the partner, as the last task of question 6 does."""
    import hmac
    from pathlib import Path

    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=f"{folder}/q06_partner_delivery.py")
    if bag.import_errors:
        raise ImportError(next(iter(bag.import_errors.values())).strip().splitlines()[-1])
    manifest = Path(home, "manifest.txt")
    manifest.write_text("planes\n")
    signature = hmac.new(b"a-secret-of-the-partner", manifest.read_bytes(), "sha256").hexdigest()
    bag.dags["q06_partner_delivery"].get_task("deliver").python_callable(home, signature)
    return "delivered"


def found(p: Probe, keys: list[str]) -> list[str]:
    """List the files that hold a key: Airflow's database, what the runs wrote, their log."""
    wanted, places = [key.encode() for key in keys], []
    for file in [*p.home.rglob("*"), p.home.parent / "probe.log"]:
        if file.is_file() and any(key in file.read_bytes() for key in wanted):
            places.append(file.name)
    return sorted(set(places))
