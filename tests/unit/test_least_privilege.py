"""Tells what each container of the compose stack has: no variable beyond its list, no right of root, a bound of its memory."""

import json
import re

import pytest
import yaml

from support import PROJECT
from support.privileges import ENVIRONMENT, SECRETS


def services(*overlays: str) -> dict[str, dict]:
    """The services as compose merges them: an overlay's environment on top of the file's."""
    found: dict[str, dict] = {}
    for file in ("docker-compose.yaml", *overlays):
        for name, service in yaml.safe_load((PROJECT / file).read_text())["services"].items():
            known = found.setdefault(name, {})
            environment = {**known.get("environment", {}), **service.get("environment", {})}
            known |= service | {"environment": environment}
    return found


SERVICES = services()
SECRET = re.compile(r"\$\{(\w+):\?")


@pytest.mark.claim("6.6")
def test_every_service_has_a_list():
    assert set(SERVICES) == set(ENVIRONMENT)


@pytest.mark.claim("6.6")
@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_a_service_has_the_variables_of_its_list_and_no_other(name):
    assert set(SERVICES[name]["environment"]) == ENVIRONMENT[name]


@pytest.mark.claim("6.6")
@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_part_of_airflow_gets_the_secrets_that_its_work_needs(name):
    assert set(SECRET.findall(json.dumps(SERVICES[name]))) == SECRETS[name]


@pytest.mark.claim("6.6")
def test_nothing_that_all_parts_share_is_a_secret():
    """The file that every part reads, tasks' processes included."""
    text = (PROJECT / "config/airflow.env").read_text()
    assert not re.findall(r"^\w*(?:PASSWORD|SECRET|_KEY|SQL_ALCHEMY_CONN|BROKER_URL)\w*=", text, re.MULTILINE)
    assert {SERVICES[name].get("env_file") for name in SECRETS} == {"config/airflow.env"}


@pytest.mark.claim("6.6")
@pytest.mark.claim("7.1")
@pytest.mark.parametrize("overlays", [(), ("docker-compose.rabbitmq.yaml",)])
def test_no_worker_has_the_users_of_the_broker_that_reach_every_queue(overlays):
    found = services(*overlays)
    users = {
        name: {
            re.match(r"(\w+)://(\w*):", found[name]["environment"][f"AIRFLOW__CELERY__{key}"]).groups() for key in keys
        }
        for name in ("airflow-scheduler", "airflow-worker", "airflow-spark-worker", "airflow-partner-worker")
        for keys in [("BROKER_URL", "RESULT_BACKEND")]
    }
    brokers = {"redis", "amqp"} if overlays else {"redis"}
    for name, user in (
        ("airflow-worker", "worker"),
        ("airflow-spark-worker", "worker"),
        ("airflow-partner-worker", "partner"),
    ):
        assert users[name] == {(broker, user) for broker in brokers}
    assert users["airflow-scheduler"] == {("redis", "")} | ({("amqp", "airflow")} if overlays else set())


@pytest.mark.claim("6.6")
def test_a_workers_user_of_the_broker_reaches_its_own_queues_only():
    command = SERVICES["redis"]["command"]
    cut = [number for number, word in enumerate(command) if word == "--user"]
    users = {command[at + 1]: command[at + 2 : end] for at, end in zip(cut, [*cut[1:], None], strict=True)}
    own = {"worker": {"light", "spark", "unacked"}, "partner": {"partner"}}
    assert users.keys() == own.keys()
    for user, words in users.items():
        assert words.index("-@dangerous") > words.index("+@all"), "the later word wins"
        assert words.index("-@admin") > words.index("+@all")
        keys = {word.removeprefix("~") for word in words if word.startswith("~")}
        shared = {
            "_kombu.binding*celery*",
            "_kombu.binding_deadlines",
            "celeryev*",
            "*.celery.pidbox*",
            "celery-task-meta-*",
        }
        queues = own[user] - {"unacked"}
        assert keys == shared | {f"{name}*" for name in own[user]} | {f"_kombu.binding*.{name}" for name in queues}


def test_no_log_is_served_by_a_worker_because_that_would_need_a_key_of_the_api_server():
    for name in ("airflow-worker", "airflow-spark-worker", "airflow-partner-worker", "airflow-triggerer"):
        assert "--skip-serve-logs" in SERVICES[name]["command"]
        assert "logs:/opt/airflow/logs" in SERVICES[name]["volumes"]
    assert "logs:/opt/airflow/logs" in SERVICES["airflow-api-server"]["volumes"]


@pytest.mark.parametrize(
    ("name", "service"),
    sorted((name, each) for name, each in services("docker-compose.rabbitmq.yaml").items()),
)
def test_a_container_has_no_right_of_root_and_a_bound_of_its_memory(name, service):
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"cap_add", "privileged", "pid", "network_mode", "ipc", "devices"} & set(service)
    assert service["mem_limit"]
    published = [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")]
    assert not published
