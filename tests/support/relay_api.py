"""Stands in for Airflow's REST API at the transport of its client."""

import json

import httpx
import pytest
import tenacity.nap

from answers.stack.client import Airflow


class Api:
    """Keeps runs by their unique ids, all that the relay needs. `answers` come first: a status code, or None to hang up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tenacity.nap.time, "sleep", lambda _: None)  # the pauses between the relay's tries
        self.runs: dict[str, dict] = {}
        self.answers: list[int | None] = []
        self.asked = 0
        self.airflow = Airflow("http://airflow", "secret")
        self.airflow._http = httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": "token"})
        assert request.headers["Authorization"] == "Bearer token"
        if request.method == "GET" and (prefix := request.url.params.get("run_id_prefix_pattern")):
            found = [
                {"dag_run_id": run_id, "conf": conf} for run_id, conf in self.runs.items() if run_id.startswith(prefix)
            ]
            return httpx.Response(200, json={"dag_runs": found, "total_entries": len(found)})
        if request.method == "GET":
            return httpx.Response(200, json={"conf": self.runs[request.url.path.rpartition("/")[2]]})
        self.asked += 1
        if self.answers and (first := self.answers.pop(0)) != 200:
            if first is None:
                raise httpx.ReadError("connection lost")
            return httpx.Response(first, json={"detail": "not now"})
        body = json.loads(request.content)
        assert request.url.path == "/api/v2/dags/q05_kafka_webhook/dagRuns"
        if body["dag_run_id"] in self.runs:
            return httpx.Response(409, json={"detail": "already exists"})
        self.runs[body["dag_run_id"]] = body["conf"]
        return httpx.Response(200, json=body)
