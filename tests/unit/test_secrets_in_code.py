"""No secret is in the code or in the configuration, no password of a connection in a container's settings."""

import json
import re

import pytest
import yaml

from answers.stack.parameters import contents, names
from support import PROJECT

ENV = {name: f"value-of-{name}" for name in ("CLICKHOUSE_PASSWORD", "PARTNER_SECRET", "PSEUDONYM_SECRET")}


@pytest.mark.claim("6.1")
def test_passwords_of_connections_reach_one_container_only():
    services = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
    allowed = {
        "CLICKHOUSE_PASSWORD": {"clickhouse", "parameter-store"},  # the server itself
        "PARTNER_SECRET": {"parameter-store"},
        "PSEUDONYM_SECRET": {"parameter-store"},
        "PARAMETER_READ_SECRET": {"airflow-partner-worker", "parameter-store"},
        "PARAMETER_WRITE_SECRET": {"parameter-store"},
    }
    for secret, wanted in allowed.items():
        assert {name for name, service in services.items() if f"${{{secret}:" in json.dumps(service)} == wanted
    assert not [name for name, service in services.items() if "AIRFLOW_CONN_" in json.dumps(service)]


@pytest.mark.claim("6.1")
def test_both_stacks_ask_for_the_same_names():
    services = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
    everything = (contents.READER, "${PARAMETER_READ_SECRET:?run make up}")
    shared = (contents.WORKER, "${PARAMETER_WORKER_SECRET:?run make up}")
    for name, identity in {
        "airflow-worker": shared,
        "airflow-triggerer": shared,
        "airflow-dag-processor": shared,
        "airflow-partner-worker": everything,
    }.items():
        ours = names.airflow_settings("http://parameter-store:5000", *identity)
        given = services[name]["environment"]
        assert {
            key: value for key, value in given.items() if key.startswith("AIRFLOW__SECRETS__")
        }.keys() == ours.keys()
        told = given["AIRFLOW__SECRETS__BACKEND_KWARGS"].replace("$$", "$")
        assert json.loads(told) == names.backend_kwargs()
        for key in ours.keys() - {"AIRFLOW__SECRETS__BACKEND_KWARGS"}:
            assert given[key] == ours[key]


@pytest.mark.claim("6.1")
def test_every_connection_that_a_stack_defines_is_asked_for_in_the_store(tmp_path):
    from answers.stack.settings import Settings

    settings = Settings(tmp_path, ENV, {"catcher": 1, "parameters": 2})
    for connections in (contents.compose_connections(ENV), settings.stored_connections()):
        stored = contents.parameters(connections, ENV)
        assert len(stored) == len(connections) + 1
        pattern = names.backend_kwargs()["connections_lookup_pattern"]
        assert all(re.match(pattern, name) for name in connections)


def test_a_name_that_is_not_kept_there_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="'nope' is not kept in the parameter store; there are clickhouse_default"):
        names.path("nope")
