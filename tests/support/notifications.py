"""Receives what the notifier of failures sends: Slack's webhook over HTTP, and e-mails over SMTP."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from answers.stack.dotenv import free_port
from answers.stack.mail_sink import serve
from support import catching

SLACK = "/slack/services/T000/B000/x"


@contextmanager
def catching_notifications(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Receive both kinds on loopback, and lead the connections of Airflow there."""
    monkeypatch.setenv("AIRFLOW_VAR_DATA_ROOT", str(folder))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example:8080")
    with catching(folder) as server:
        mail = serve("127.0.0.1", free_port(0), lambda body: server.keep_message("/mail", body))
        point_to(monkeypatch, server.server_port, mail.port)
        yield server
        mail.stop()


def point_to(monkeypatch, slack: int | None = None, mail: int | None = None) -> None:
    """Lead the two connections to these ports."""
    if slack:
        connection = {"conn_type": "slackwebhook", "schema": "http", "host": f"127.0.0.1:{slack}/slack/services"}
        monkeypatch.setenv("AIRFLOW_CONN_SLACK_DEFAULT", json.dumps(connection | {"password": "T000/B000/x"}))
    if mail:
        extra = {"from_email": "airflow@example.org", "timeout": 4, "retry_limit": 0}
        extra |= {"disable_ssl": True, "disable_tls": True}
        connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": mail, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))


def texts(catcher) -> list[str]:
    """List the texts of the messages to Slack."""
    return [each["body"]["text"] for each in catcher.received(SLACK)]


def mails(catcher) -> list[Any]:
    """List the e-mails."""
    return [each["body"] for each in catcher.received("/mail")]
