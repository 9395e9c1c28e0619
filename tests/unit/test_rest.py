"""The REST client where no API answers: what may come back is waited for, a stopped stack is not."""

import json

import pytest

from answers.stack import dotenv, rest
from answers.stack.settings import PORTS

NEVER = 10_000  # seconds that no test lasts


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """An embedded stack that was started once and does not run."""
    monkeypatch.setenv("ANSWERS_HOME", str(tmp_path))
    monkeypatch.delenv("ANSWERS_API_URL", raising=False)
    (tmp_path / "ports.json").write_text(json.dumps({part: dotenv.free_port(0) for part in PORTS}))
    monkeypatch.setattr(rest, "RESTART", 0)
    return monkeypatch


@pytest.mark.timeout(60)
def test_nobody_waits_for_the_api_of_a_stopped_stack(stopped):
    deadline = rest.Deadline
    stopped.setattr(rest, "Deadline", lambda seconds: deadline(seconds and NEVER))
    with pytest.raises(rest.ApiError, match=r"does not answer .*: is the stack up\? `answers status`"):
        rest.Rest().request("GET", "/dags")


@pytest.mark.parametrize(
    ("work", "state"), [("starting", None), (None, "RUNNING"), (None, "STARTING"), (None, "UNKNOWN")]
)
def test_what_may_come_back_is_waited_for(stopped, work, state):
    stopped.setattr(rest, "work_under_way", lambda stack: work)
    stopped.setattr(rest, "supervisor_state", lambda stack, part: state)
    assert not rest.Rest()._is_stopped()


def test_an_airflow_elsewhere_is_waited_for(stopped):
    assert not rest.Rest("http://127.0.0.1:1", "x")._is_stopped()
