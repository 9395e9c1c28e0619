"""Lists what each stack keeps in its parameter store. The connections of docker compose are written down here alone.

A new connection is one entry here for compose, one in `Settings.connections()` for the embedded stack, and its name in
`answers.stack.parameters.names`. Passwords come from `.env` or secrets.env, and from there only into the parameter store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from answers.stack.parameters.names import path

# How this project consumes: nothing is committed on its own, and a consumer that was killed is missed within seconds.
CONSUMER = {
    "group.id": "answers",
    "enable.auto.commit": "false",
    "auto.offset.reset": "earliest",
    "session.timeout.ms": 6000,
    "heartbeat.interval.ms": 2000,
    "topic.metadata.refresh.interval.ms": 5000,
    "reconnect.backoff.max.ms": 1000,
}
# The identities of the parameter store. READER reads everything: the embedded stack, and question 6's worker in docker compose.
# WORKER reads what is no single DAG's own: every other part of Airflow in docker compose. `answers secrets` has WRITER.
WAREHOUSE_USER = "answers"
READER, WORKER, WRITER = "AKIAANSWERSREADER", "AKIAANSWERSWORKER", "AKIAANSWERSWRITER"


def compose_connections(env: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the connections of the docker compose stack, by id.

    :param env: CLICKHOUSE_PASSWORD and what else is asked for here
    :raises KeyError: naming what is missing
    """
    patience = {"connect_timeout": 3, "read_timeout": 10, "retries": {"max_attempts": 2}}
    s3 = {"endpoint_url": "http://object-store:5000", "region_name": "us-east-1", "config_kwargs": patience}
    return {
        "clickhouse_default": clickhouse("clickhouse", 8123, env["CLICKHOUSE_PASSWORD"]),
        "kafka_default": kafka("kafka:9092"),
        "object_store": {"conn_type": "aws", "login": "anybody", "password": "anything", "extra": s3},
        "ops_webhook": {"conn_type": "http", "host": "catcher", "port": 9080},
        "q06_partner": partner("catcher", 9080, env["PARTNER_SECRET"]),
        "slack_default": slack("catcher", 9080),
        "smtp_default": {"conn_type": "smtp", "host": "maildev", "port": 1025, "extra": mail()},
        "spark_default": {"conn_type": "spark", "host": "spark://spark-master", "port": 7077},
    }


def clickhouse(host: str, port: int, password: str) -> dict[str, Any]:
    """Return the connection to the warehouse, ClickHouse's server or the embedded stack's."""
    return {"conn_type": "clickhouse", "host": host, "port": port, "login": WAREHOUSE_USER, "password": password}


def kafka(servers: str) -> dict[str, Any]:
    """Return the connection to a broker."""
    return {"conn_type": "kafka", "extra": {"bootstrap.servers": servers, **CONSUMER}}


def slack(host: str, port: int) -> dict[str, Any]:
    """Return the connection to the catcher in Slack's place. The password is the end of a webhook's address; it takes any."""
    address = {"schema": "http", "host": f"{host}:{port}/slack/services", "password": "T000/B000/catcher"}
    return {"conn_type": "slackwebhook", **address}


def mail() -> dict[str, Any]:
    """Return how Airflow talks to the mail sink of either stack. A failing task waits for it: one attempt, a few seconds."""
    return {
        "from_email": "airflow@example.org",
        "timeout": 4,
        "retry_limit": 0,
        "disable_ssl": True,
        "disable_tls": True,
    }


def partner(host: str, port: int, password: str) -> dict[str, Any]:
    """Return the connection to the partner of question 6, whose deliveries are signed with its password."""
    return {"conn_type": "http", "host": host, "port": port, "login": "answers", "password": password}


def parameters(connections: Mapping[str, Mapping[str, Any]], env: Mapping[str, str]) -> dict[str, str]:
    """Return parameter -> value, for connections by id and the secret Variables."""
    found = {path(name): json.dumps(connection) for name, connection in connections.items()}
    return found | {path("q06_pseudonym_secret"): env["PSEUDONYM_SECRET"]}


def compose(env: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of the docker compose stack."""
    return parameters(compose_connections(env), env)
