"""The secrets backend against the stacks' own parameter store, and against one that denies, throttles, sleeps or babbles."""

import io
import json
import time
from types import SimpleNamespace

import pytest

from answers.stack.parameters import client
from answers.stack.parameters.contents import WORKER
from answers.stack.parameters.names import REGION
from answers.stack.parameters.store import load, merged
from plugins.secrets_backend import PATIENCE, SecretUnavailable
from support.parameter_stores import Misbehaving, running_store

PARTNER, PSEUDONYM = "/answers/connections/q06_partner", "/answers/variables/q06_pseudonym_secret"
DECOY = "left-in-the-environment"
CANARY = "c4n4ry-8f1b"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with running_store(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def misbehaving():
    server = Misbehaving()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def use(monkeypatch):
    """Let Airflow in this process ask a store; a decoy of everything lies in the environment, the next place to look."""
    from airflow.sdk.configuration import clear_secrets_backends_cache

    def point(settings: dict[str, str], **config) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        if config:
            kwargs = json.loads(settings["AIRFLOW__SECRETS__BACKEND_KWARGS"]) | {"config_kwargs": config}
            monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND_KWARGS", json.dumps(kwargs))
        clear_secrets_backends_cache()

    monkeypatch.setenv("AIRFLOW_CONN_Q06_PARTNER", json.dumps({"conn_type": "http", "password": DECOY}))
    monkeypatch.setenv("AIRFLOW_VAR_Q06_PSEUDONYM_SECRET", DECOY)
    yield point
    clear_secrets_backends_cache()


def connection(name: str = "q06_partner"):
    from airflow.sdk import Connection

    return Connection.get(name)


def variable(name: str = "q06_pseudonym_secret") -> str:
    from airflow.sdk import Variable

    return Variable.get(name)


@pytest.mark.claim("6.1")
def test_connections_and_variables_come_from_the_store_in_tasks_and_in_servers(store, use):
    from airflow.models import Connection, Variable

    use(store.settings())
    for partner in (connection(), Connection.get_connection_from_secrets("q06_partner")):
        assert (partner.host, partner.port, partner.password) == ("127.0.0.1", 9, store.secrets["PARTNER_SECRET"])
    assert variable() == Variable.get_variable_from_secrets("q06_pseudonym_secret") == store.secrets["PSEUDONYM_SECRET"]
    kept = {each["name"]: each["type"] for each in store.writer.names()}
    assert kept.keys() >= {PARTNER, PSEUDONYM, "/answers/connections/clickhouse_default"}
    assert set(kept.values()) == {"SecureString"}


@pytest.mark.claim("6.1")
def test_only_names_that_are_kept_there_are_asked_for(store, use, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_Q06_PARTNER_OLD", json.dumps({"conn_type": "http", "password": DECOY}))
    monkeypatch.setenv("AIRFLOW_VAR_FLIGHTS_FEED", "somewhere")
    use(store.settings())
    before = store.asked()
    assert connection("q06_partner_old").password == DECOY
    assert variable("flights_feed") == "somewhere"
    assert store.asked() == before


@pytest.mark.claim("6.1")
def test_the_store_knows_who_asks(store, use):
    """Airflow's key reads; it writes nothing. A wrong key reads nothing."""
    import boto3
    from botocore.exceptions import ClientError

    use(store.settings())
    assert connection().password == store.secrets["PARTNER_SECRET"]
    keys = {name.rsplit("__", 1)[1].lower(): value for name, value in store.settings().items() if "KWARG__" in name}
    reader = boto3.client("ssm", region_name="us-east-1", **keys)
    with pytest.raises(ClientError, match="not authorized"):
        reader.put_parameter(Name=PARTNER, Value="x", Type="SecureString", Overwrite=True)


@pytest.mark.claim("6.6")
def test_a_workers_key_reads_what_no_single_dag_owns(store, use):
    """By the exact name: not with a version behind it, nor as an ARN, nor a list of names."""
    import boto3
    from botocore.exceptions import ClientError

    prefix = "AIRFLOW__SECRETS__BACKEND_KWARG__AWS_"
    key = {f"{prefix}ACCESS_KEY_ID": WORKER, f"{prefix}SECRET_ACCESS_KEY": store.secrets["PARAMETER_WORKER_SECRET"]}
    use(store.settings() | key)
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
def test_a_rotated_value_is_what_the_next_lookup_gets(store, use, tmp_path):
    use(store.settings())
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


@pytest.mark.claim("6.4")
def test_a_rotated_password_stays_and_an_address_is_the_stacks(tmp_path):
    seeds = {PARTNER: json.dumps({"host": "new", "port": 2, "password": "first"}), PSEUDONYM: "first"}
    kept = {
        PARTNER: json.dumps({"host": "old", "port": 1, "password": CANARY}),
        PSEUDONYM: CANARY,
        "/answers/own": "own",
    }
    found = merged(seeds, kept)
    assert json.loads(found.pop(PARTNER)) == {"host": "new", "port": 2, "password": CANARY}
    assert found == {PSEUDONYM: CANARY, "/answers/own": "own"}
    assert merged(seeds, {PARTNER: "no JSON"})[PARTNER] == "no JSON", "the store comes up; the backend tells"
    (tmp_path / "parameters.json").write_text('{"half')
    with pytest.raises(SystemExit, match=r"parameters\.json is damaged: restore it"):
        load(tmp_path / "parameters.json")


@pytest.mark.claim("6.5")
def test_what_the_store_does_not_have_is_looked_for_elsewhere(store, use, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_DEFAULT", json.dumps({"conn_type": "kafka", "password": DECOY}))
    use(store.settings())
    assert connection("kafka_default").password == DECOY


@pytest.mark.claim("6.5")
def test_a_key_that_may_not_read_is_a_clear_error(store, use):
    use(store.settings() | {"AIRFLOW__SECRETS__BACKEND_KWARG__AWS_SECRET_ACCESS_KEY": "wrong"})
    for ask, parameter in ((connection, PARTNER), (variable, PSEUDONYM)):
        with pytest.raises(SecretUnavailable, match=f"secret {parameter}: ParameterStoreBackend .* denied") as caught:
            ask()
        assert DECOY not in str(caught.value)


def error(code: str) -> dict:
    return {"__type": code, "message": f"{code} of the store"}


FAILURES = {  # how the store behaves: status, document, seconds -> what is said, requests
    "denied": (400, error("AccessDeniedException"), 0, "denied .AccessDeniedException.", 1),
    "no permission for the key": (400, error("KMSAccessDeniedException"), 0, "denied .KMSAccessDeniedException.", 1),
    "throttled": (400, error("ThrottlingException"), 0, "throttled after 4 tries", 4),
    "broken": (500, error("InternalServerError"), 0, "answered InternalServerError with HTTP 500 after 4 tries", 4),
    "slow": (200, {"Parameter": {"Value": CANARY}}, 0.6, "not reached .ReadTimeoutError", 4),
    "no JSON": (200, CANARY.encode(), 0, "cannot be understood", 1),
    "no value": (200, {"Parameter": {"Other": CANARY}}, 0, "cannot be understood .KeyError", 1),
}


@pytest.mark.claim("6.5")
@pytest.mark.parametrize("how", FAILURES)
def test_a_store_that_fails_is_an_error_that_names_it_and_nothing_else_is_asked(
    how, misbehaving, use, monkeypatch, caplog
):
    status, document, delay, said, tries = FAILURES[how]
    misbehaving.status, misbehaving.document, misbehaving.delay = status, document, delay
    waits = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=waits.append))  # the clock, botocore's alone
    for ask, parameter in ((connection, PARTNER), (variable, PSEUDONYM)):
        use(misbehaving.settings, read_timeout=0.2)
        misbehaving.asked.clear()
        with pytest.raises(SecretUnavailable, match=f"secret {parameter}: ParameterStoreBackend .*{said}") as caught:
            ask()
        assert misbehaving.asked == [parameter] * tries
        assert f"127.0.0.1:{misbehaving.server_port}" in str(caught.value)
        assert caught.value.__cause__ is None
        assert CANARY not in str(caught.value) + caplog.text
    assert len(waits) == 2 * (tries - 1), "it backs off before every further try"


@pytest.mark.claim("6.5")
def test_a_store_that_is_down_is_an_error_and_so_is_the_servers(misbehaving, use, monkeypatch):
    from airflow.models import Connection, Variable

    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
    misbehaving.shutdown()
    misbehaving.server_close()
    use(misbehaving.settings)
    ways = (connection, variable, lambda: Connection.get_connection_from_secrets("q06_partner"))
    for ask in (*ways, lambda: Variable.get_variable_from_secrets("q06_pseudonym_secret")):
        with pytest.raises(SecretUnavailable, match=r"not reached .EndpointConnectionError"):
            ask()


@pytest.mark.claim("6.5")
def test_a_throttled_store_that_recovers_is_no_error(misbehaving, use, monkeypatch):
    misbehaving.status, misbehaving.document = 400, error("ThrottlingException")

    def recover(_: float) -> None:
        misbehaving.status, misbehaving.document = 200, {"Parameter": {"Value": CANARY}}

    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=recover))
    use(misbehaving.settings)
    assert variable() == CANARY
    assert len(misbehaving.asked) == 2


@pytest.mark.claim("6.5")
@pytest.mark.parametrize(
    "value",
    [
        CANARY,
        "   ",
        "{" + CANARY,
        f'["{CANARY}"]',
        f'{{"password": "{CANARY}"}}',
        f'{{"conn_type": "http", "port": "{CANARY}"}}',
        f'{{"conn_type": "http", "extra": "{{{CANARY}"}}',
        f"http://user:{CANARY}/path@host",
    ],
)
def test_a_value_that_is_no_connection_is_an_error_that_does_not_quote_it(value, misbehaving, use, caplog):
    misbehaving.document = {"Parameter": {"Value": value}}
    use(misbehaving.settings)
    with pytest.raises(SecretUnavailable, match=f"secret {PARTNER}: .* no connection") as caught:
        connection()
    assert CANARY not in str(caught.value) + caplog.text


@pytest.mark.claim("6.5")
def test_patience_is_bounded():
    tries = PATIENCE["retries"]["total_max_attempts"]
    backoff = sum(min(2**n, 20) for n in range(tries - 1))  # botocore's standard mode, at the most
    assert tries * max(PATIENCE["connect_timeout"], PATIENCE["read_timeout"]) + backoff <= 30


@pytest.mark.claim("6.5")
def test_the_official_backend_would_have_asked_the_next_place(misbehaving, use, monkeypatch):
    """Why there is a backend of this project's own; it goes when this fails."""
    misbehaving.status, misbehaving.document = 400, error("AccessDeniedException")
    official = "airflow.providers.amazon.aws.secrets.systems_manager.SystemsManagerParameterStoreBackend"
    use(misbehaving.settings | {"AIRFLOW__SECRETS__BACKEND": official})
    assert connection().password == DECOY
    assert misbehaving.asked == [PARTNER]


def test_a_client_costs_a_task_little_once_the_parent_has_read_what_it_needs(misbehaving):
    from plugins import secrets_backend

    secrets_backend.preload()
    backend = secrets_backend.ParameterStoreBackend(
        region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    began = time.process_time()
    assert backend.client
    assert time.process_time() - began < 0.5
    assert not misbehaving.asked


# -- the command in the container of the store


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
