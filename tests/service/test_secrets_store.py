"""Asks the stacks' own parameter store through Airflow's secrets backend, and rotates what it keeps."""

import io
import json

import pytest

from answers.stack.parameters import client
from answers.stack.parameters.contents import WORKER
from answers.stack.parameters.names import REGION
from plugins.secrets_backend import SecretUnavailable
from support.parameter_stores import (
    CANARY,
    DECOY,
    PARTNER,
    PSEUDONYM,
    asking_airflow,
    connection,
    running_store,
    variable,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with running_store(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def use_store(monkeypatch):
    with asking_airflow(monkeypatch) as use_store:
        yield use_store


@pytest.mark.claim("6.1")
def test_connections_and_variables_come_from_the_store_in_tasks_and_in_servers(store, use_store):
    from airflow.models import Connection, Variable

    use_store(store.settings())
    for partner in (connection(), Connection.get_connection_from_secrets("q06_partner")):
        assert (partner.host, partner.port, partner.password) == ("127.0.0.1", 9, store.secrets["PARTNER_SECRET"])
    assert variable() == Variable.get_variable_from_secrets("q06_pseudonym_secret") == store.secrets["PSEUDONYM_SECRET"]
    kept = {each["name"]: each["type"] for each in store.writer.names()}
    assert kept.keys() >= {PARTNER, PSEUDONYM, "/answers/connections/clickhouse_default"}
    assert set(kept.values()) == {"SecureString"}


@pytest.mark.claim("6.1")
def test_only_names_that_are_kept_there_are_asked_for(store, use_store, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_Q06_PARTNER_OLD", json.dumps({"conn_type": "http", "password": DECOY}))
    monkeypatch.setenv("AIRFLOW_VAR_FLIGHTS_FEED", "somewhere")
    use_store(store.settings())
    before = store.asked()
    assert connection("q06_partner_old").password == DECOY
    assert variable("flights_feed") == "somewhere"
    assert store.asked() == before


@pytest.mark.claim("6.1")
def test_the_store_knows_who_asks(store, use_store):
    """Airflow's key reads; it writes nothing. A wrong key reads nothing."""
    import boto3
    from botocore.exceptions import ClientError

    use_store(store.settings())
    assert connection().password == store.secrets["PARTNER_SECRET"]
    keys = {name.rsplit("__", 1)[1].lower(): value for name, value in store.settings().items() if "KWARG__" in name}
    reader = boto3.client("ssm", region_name="us-east-1", **keys)
    with pytest.raises(ClientError, match="not authorized"):
        reader.put_parameter(Name=PARTNER, Value="x", Type="SecureString", Overwrite=True)


@pytest.mark.claim("6.6")
def test_a_workers_key_reads_what_no_single_dag_owns(store, use_store):
    """By the exact name: not with a version behind it, nor as an ARN, nor a list of names."""
    import boto3
    from botocore.exceptions import ClientError

    prefix = "AIRFLOW__SECRETS__BACKEND_KWARG__AWS_"
    key = {f"{prefix}ACCESS_KEY_ID": WORKER, f"{prefix}SECRET_ACCESS_KEY": store.secrets["PARAMETER_WORKER_SECRET"]}
    use_store(store.settings() | key)
    assert connection("ops_webhook").port > 0
    for ask, parameter in ((connection, PARTNER), (variable, PSEUDONYM)):
        with pytest.raises(SecretUnavailable, match=f"secret {parameter}: ParameterStoreBackend .* denied"):
            ask()
    worker = boto3.client(
        "ssm",
        region_name=REGION,
        endpoint_url=store.endpoint,
        aws_access_key_id=WORKER,
        aws_secret_access_key=store.secrets["PARAMETER_WORKER_SECRET"],
    )
    assert worker.get_parameter(Name="/answers/connections/ops_webhook", WithDecryption=True)["Parameter"]["Value"]
    for name in (PARTNER, f"{PARTNER}:1", f"arn:aws:ssm:{REGION}:123456789012:parameter{PARTNER}"):
        with pytest.raises(ClientError, match="AccessDenied"):
            worker.get_parameter(Name=name, WithDecryption=True)
    with pytest.raises(ClientError, match="AccessDenied"):
        worker.get_parameters(Names=[PARTNER], WithDecryption=True)
    with pytest.raises(ClientError, match="AccessDenied"):
        worker.get_parameters_by_path(Path="/answers", Recursive=True, WithDecryption=True)


@pytest.mark.claim("6.4")
def test_a_rotated_value_is_what_the_next_lookup_gets(store, use_store, tmp_path):
    use_store(store.settings())
    before = connection(), variable()
    try:
        assert store.writer.rotate("q06_partner", "rotated '\"/+%") > 1
        store.writer.rotate("q06_pseudonym_secret", "rotated too")
        after = connection(), variable()
    finally:
        store.writer.rotate("q06_partner", before[0].password)
        store.writer.rotate("q06_pseudonym_secret", before[1])
    assert (after[0].password, after[1]) == ("rotated '\"/+%", "rotated too")
    assert (after[0].host, after[0].login) == (before[0].host, before[0].login)


@pytest.mark.claim("6.4")
def test_what_was_rotated_outlives_the_store(tmp_path):
    home = tmp_path / "home"
    with running_store(home) as first:
        first.writer.rotate("q06_partner", CANARY)
        first.writer.rotate("q06_pseudonym_secret", CANARY)
    assert (home / "parameters.json").stat().st_mode & 0o777 == 0o600
    with running_store(home) as second:
        assert json.loads(second.writer.value(PARTNER))["password"] == CANARY
        assert second.writer.value(PSEUDONYM) == CANARY


@pytest.mark.claim("6.5")
def test_what_the_store_does_not_have_is_looked_for_elsewhere(store, use_store, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_DEFAULT", json.dumps({"conn_type": "kafka", "password": DECOY}))
    use_store(store.settings())
    assert connection("kafka_default").password == DECOY


@pytest.mark.claim("6.5")
def test_a_key_that_may_not_read_is_a_clear_error(store, use_store):
    use_store(store.settings() | {"AIRFLOW__SECRETS__BACKEND_KWARG__AWS_SECRET_ACCESS_KEY": "wrong"})
    for ask, parameter in ((connection, PARTNER), (variable, PSEUDONYM)):
        with pytest.raises(SecretUnavailable, match=f"secret {parameter}: ParameterStoreBackend .* denied") as caught:
            ask()
        assert DECOY not in str(caught.value)


def test_the_containers_command_lists_seeds_and_rotates_without_showing_a_value(tmp_path, monkeypatch, capsys):
    with running_store(tmp_path / "home") as store:
        environment = {
            name: f"made-of-{name}" for name in ("CLICKHOUSE_PASSWORD", "PARTNER_SECRET", "PSEUDONYM_SECRET")
        }
        environment |= {
            "PARAMETER_STORE": store.endpoint,
            "PARAMETER_WRITE_SECRET": store.secrets["PARAMETER_WRITE_SECRET"],
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        client.main(["seed"])
        assert PARTNER in capsys.readouterr().out.splitlines()
        assert json.loads(store.writer.value(PARTNER))["password"] == "made-of-PARTNER_SECRET"

        monkeypatch.setattr("sys.stdin", io.StringIO("another one\nand no more\n"))
        client.main(["rotate", "q06_partner"])
        told = capsys.readouterr().out
        assert json.loads(store.writer.value(PARTNER))["password"] == "another one"
        client.main(["list"])
        told += capsys.readouterr().out
        (version,) = [each["version"] for each in store.writer.names() if each["name"] == PARTNER]
        assert f"q06_partner is version {version}" in told
        assert f"{PARTNER} version {version} SecureString" in told
        assert "another one" not in told
        assert "made-of" not in told

        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        with pytest.raises(SystemExit, match="secrets: no new value for q06_partner"):
            client.main(["rotate", "q06_partner"])
        with pytest.raises(SystemExit, match="nobody"):
            client.main(["rotate", "nobody"])
    with pytest.raises(SystemExit, match=r"at http://127\.0\.0\.1:.*is the stack up\?"):
        client.main(["list"])
