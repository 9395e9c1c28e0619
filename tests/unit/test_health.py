"""The containers' health checks: what answers is healthy, what does not is told with its reason."""

import socket
import threading

import pytest

from answers.stack.catcher import Catcher
from support.health import check


def free(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) != 0


def test_the_catcher_is_healthy_as_long_as_it_answers(tmp_path, monkeypatch):
    if not free(9080):
        pytest.skip("something else listens on the catcher's port of the containers")
    assert "Connection refused" in check("catcher", monkeypatch)
    with Catcher(("127.0.0.1", 9080), tmp_path / "catcher.jsonl") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            assert check("catcher", monkeypatch) == ""
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("part", "environment"),
    [
        ("scheduler", {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://a:b@127.0.0.1:1/x"}),
        ("worker", {"AIRFLOW__CELERY__BROKER_URL": "redis://127.0.0.1:1/0"}),
        ("spark-worker", {}),
        ("nothing-of-ours", {}),
    ],
)
def test_what_does_not_answer_is_told_with_its_reason(part, environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert check(part, monkeypatch).startswith(f"{part}: ")
