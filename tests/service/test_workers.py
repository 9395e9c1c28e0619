"""The Celery workers of the compose stack: what Airflow makes of its settings, and who listens to which queue."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from answers.stack import dotenv
from support import PROJECT
from support.kills import KILLS, table

SHARED = dotenv.read(PROJECT / "config/airflow.env")
SERVICES = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
ON_RABBITMQ = yaml.safe_load((PROJECT / "docker-compose.rabbitmq.yaml").read_text())["services"]
DAY = 86400


def settings(service: str, *overlays: dict) -> dict[str, str]:
    """The environment of a service with what .env would bring: its own default, or the name of the key."""
    found = dict(SHARED)
    for services in (SERVICES, *overlays):
        found |= services[service]["environment"]
    return {
        name: re.sub(r"\$\{(\w+):([-?])([^}]*)\}", lambda each: each[3] if each[2] == "-" else each[1], value)
        for name, value in found.items()
    }


def celery(*overlays: dict) -> dict:
    """The configuration that Airflow gives Celery in the worker, from a process with that environment."""
    code = (
        "import json; from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG as c;"
        "print(json.dumps(c, default=str))"
    )
    own = {name: value for name, value in settings("airflow-worker", *overlays).items() if "__SECRETS__" not in name}
    outer = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
    done = subprocess.run([sys.executable, "-c", code], env=outer | own, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def queues(service: str, **chosen: str) -> list[str]:
    """The queues that a worker listens to."""
    command = SERVICES[service]["command"]
    text = command[command.index("--queues") + 1]
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda each: chosen.get(each[1], each[2]), text).split(",")


@pytest.fixture(scope="module")
def on_redis():
    return celery()


@pytest.mark.claim("7.5")
def test_a_message_is_acknowledged_when_its_task_has_ended_and_not_delivered_again_while_it_may_run(on_redis):
    assert on_redis["task_acks_late"] is True
    assert on_redis["broker_transport_options"]["visibility_timeout"] >= DAY
    assert on_redis["worker_prefetch_multiplier"] == 1, "a dead worker would hold more messages than it ran tasks"


@pytest.mark.claim("7.5")
def test_a_broker_that_restarts_costs_no_try(on_redis):
    """A send is repeated until its time is out, and a time that is out is no failure yet, three times in a row."""
    assert on_redis["task_publish_retry_policy"]["max_retries"] is None
    assert float(settings("airflow-scheduler")["AIRFLOW__CELERY__OPERATION_TIMEOUT"]) * 4 >= 30


@pytest.mark.claim("7.5")
def test_lost_celery_messages_are_queued_again():
    scheduler = settings("airflow-scheduler")
    timeout, pause, tries = (
        float(scheduler[f"AIRFLOW__SCHEDULER__{name}"])
        for name in ("TASK_QUEUED_TIMEOUT", "TASK_QUEUED_TIMEOUT_CHECK_INTERVAL", "NUM_STUCK_IN_QUEUED_RETRIES")
    )
    assert timeout + pause <= 150
    assert timeout * (tries + 1) >= 1800
    # The token that a task starts with lasts as long as it may be queued; ten seconds more are granted for clocks.
    assert pause < 10


@pytest.mark.claim("7.5")
def test_queued_messages_are_on_the_brokers_disk():
    command = SERVICES["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert "redis:/data" in SERVICES["redis"]["volumes"]
    assert "rabbitmq:/var/lib/rabbitmq" in ON_RABBITMQ["rabbitmq"]["volumes"]
    assert ON_RABBITMQ["rabbitmq"]["hostname"], "its data are filed under the host's name"


def test_the_table_of_the_docs_is_what_was_measured():
    measured = json.loads((PROJECT / "bench/results/q07_kills.json").read_text())["result"]
    assert table(measured) in (PROJECT / "docs/q07.md").read_text()
    assert {(measured[name]["missing"], measured[name]["doubled"]) for name in KILLS} == {(0, 0)}


@pytest.mark.claim("7.1")
def test_workers_listen_to_every_queue_and_another_one_may_have_spark_to_itself():
    default = SHARED["AIRFLOW__OPERATORS__DEFAULT_QUEUE"]
    assert set(queues("airflow-worker")) == {default, "spark"}
    assert queues("airflow-worker", WORKER_QUEUES="light") == ["light"]
    assert (queues("airflow-spark-worker"), SERVICES["airflow-spark-worker"]["profiles"]) == (
        ["spark"],
        ["spark-worker"],
    )


@pytest.mark.claim("7.1")
def test_one_line_makes_rabbitmq_the_broker_and_leaves_the_results_in_redis(on_redis):
    config = celery(ON_RABBITMQ)
    assert on_redis["broker_url"] == "redis://worker:WORKER_BROKER_PASSWORD@redis:6379/0"
    assert config["broker_url"] == "amqp://worker:WORKER_BROKER_PASSWORD@rabbitmq:5672//"
    # With `rpc://` they would be for the process that sent the task, which is another one for each batch.
    assert (
        config["result_backend"] == on_redis["result_backend"] == "redis://worker:WORKER_BROKER_PASSWORD@redis:6379/1"
    )
    assert str(config["broker_transport_options"]["confirm_publish"]) == "True"
    assert config["task_acks_late"] is True
    publishing = [name for name, service in SERVICES.items() if "celery" in service.get("command", [])]
    assert {*publishing, "airflow-scheduler"} == {name for name in ON_RABBITMQ if name.startswith("airflow")}
    assert "ports" not in ON_RABBITMQ["rabbitmq"]


@pytest.mark.claim("7.5")
def test_rabbitmq_waits_for_a_long_task_as_redis_does(on_redis):
    text = (PROJECT / "config/rabbitmq/answers.conf").read_text()
    kept = dict(line.split(" = ") for line in text.splitlines() if " = " in line and not line.startswith("#"))
    assert int(kept["consumer_timeout"]) == 1000 * on_redis["broker_transport_options"]["visibility_timeout"]
