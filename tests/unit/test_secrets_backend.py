"""The secrets backend against the stacks' own parameter store, and against one that denies, throttles, sleeps or babbles."""

import json
import time
from types import SimpleNamespace

import pytest

from answers.stack.parameters.store import load, merge_seeds
from plugins.secrets_backend import PATIENCE, SecretUnavailable
from support.parameter_stores import (
    CANARY,
    DECOY,
    PARTNER,
    PSEUDONYM,
    Misbehaving,
    asking_airflow,
    connection,
    variable,
)


@pytest.fixture
def misbehaving():
    server = Misbehaving()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def use_store(monkeypatch):
    with asking_airflow(monkeypatch) as use_store:
        yield use_store


@pytest.mark.claim("6.4")
def test_a_rotated_password_stays_and_an_address_is_the_stacks(tmp_path):
    seeds = {PARTNER: json.dumps({"host": "new", "port": 2, "password": "first"}), PSEUDONYM: "first"}
    kept = {
        PARTNER: json.dumps({"host": "old", "port": 1, "password": CANARY}),
        PSEUDONYM: CANARY,
        "/answers/own": "own",
    }
    found = merge_seeds(seeds, kept)
    assert json.loads(found.pop(PARTNER)) == {"host": "new", "port": 2, "password": CANARY}
    assert found == {PSEUDONYM: CANARY, "/answers/own": "own"}
    assert merge_seeds(seeds, {PARTNER: "no JSON"})[PARTNER] == "no JSON", "the store comes up; the backend tells"
    (tmp_path / "parameters.json").write_text('{"half')
    with pytest.raises(SystemExit, match=r"parameters\.json is damaged: restore it"):
        load(tmp_path / "parameters.json")


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
    how, misbehaving, use_store, monkeypatch, caplog
):
    status, document, delay, said, tries = FAILURES[how]
    misbehaving.status, misbehaving.document, misbehaving.delay = status, document, delay
    waits = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=waits.append))  # the clock, botocore's alone
    for ask, parameter in ((connection, PARTNER), (variable, PSEUDONYM)):
        use_store(misbehaving.settings, read_timeout=0.2)
        misbehaving.asked.clear()
        with pytest.raises(SecretUnavailable, match=f"secret {parameter}: ParameterStoreBackend .*{said}") as caught:
            ask()
        assert misbehaving.asked == [parameter] * tries
        assert f"127.0.0.1:{misbehaving.server_port}" in str(caught.value)
        assert caught.value.__cause__ is None
        assert CANARY not in str(caught.value) + caplog.text
    assert len(waits) == 2 * (tries - 1), "it backs off before every further try"


@pytest.mark.claim("6.5")
def test_a_store_that_is_down_is_an_error_and_so_is_the_servers(misbehaving, use_store, monkeypatch):
    from airflow.models import Connection, Variable

    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
    misbehaving.shutdown()
    misbehaving.server_close()
    use_store(misbehaving.settings)
    ways = (connection, variable, lambda: Connection.get_connection_from_secrets("q06_partner"))
    for ask in (*ways, lambda: Variable.get_variable_from_secrets("q06_pseudonym_secret")):
        with pytest.raises(SecretUnavailable, match=r"not reached .EndpointConnectionError"):
            ask()


@pytest.mark.claim("6.5")
def test_a_throttled_store_that_recovers_is_no_error(misbehaving, use_store, monkeypatch):
    misbehaving.status, misbehaving.document = 400, error("ThrottlingException")

    def recover(_: float) -> None:
        misbehaving.status, misbehaving.document = 200, {"Parameter": {"Value": CANARY}}

    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=recover))
    use_store(misbehaving.settings)
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
def test_a_value_that_is_no_connection_is_an_error_that_does_not_quote_it(value, misbehaving, use_store, caplog):
    misbehaving.document = {"Parameter": {"Value": value}}
    use_store(misbehaving.settings)
    with pytest.raises(SecretUnavailable, match=f"secret {PARTNER}: .* no connection") as caught:
        connection()
    assert CANARY not in str(caught.value) + caplog.text


@pytest.mark.claim("6.5")
def test_patience_is_bounded():
    tries = PATIENCE["retries"]["total_max_attempts"]
    backoff = sum(min(2**n, 20) for n in range(tries - 1))  # botocore's standard mode, at the most
    assert tries * max(PATIENCE["connect_timeout"], PATIENCE["read_timeout"]) + backoff <= 30


@pytest.mark.claim("6.5")
def test_the_official_backend_would_have_asked_the_next_place(misbehaving, use_store, monkeypatch):
    """Why there is a backend of this project's own; it goes when this fails."""
    misbehaving.status, misbehaving.document = 400, error("AccessDeniedException")
    official = "airflow.providers.amazon.aws.secrets.systems_manager.SystemsManagerParameterStoreBackend"
    use_store(misbehaving.settings | {"AIRFLOW__SECRETS__BACKEND": official})
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
