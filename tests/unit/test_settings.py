"""The settings of the embedded stack: ports, secrets, Java."""

import json
import socket
from pathlib import Path

import pytest

from answers.stack import bundles, settings
from answers.stack.dotenv import free_port
from answers.stack.parts import PARTS, parts_of
from answers.stack.repository import RepositoryError
from answers.stack.settings import PORTS, SECRETS, Settings
from answers.stack.warehouse.__main__ import server_command


def test_a_taken_port_is_passed_over_and_told(home):
    settings, _ = Settings.load().with_ports()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (home / "ports.json").write_text(json.dumps({**settings.ports, "api": port}))
        again, notes = Settings.load().with_ports()
    assert again.ports["api"] != port
    assert notes == [f"port {port} is taken: api listens on {again.ports['api']} instead"]
    assert len(set(again.ports.values())) == len(PORTS)
    assert Settings.load().ports == again.ports


def test_two_stacks_that_start_at_the_same_moment_get_different_ports(home, monkeypatch):
    """Nothing listens yet. A stack that is gone, and whose starter is gone, keeps no port."""
    usual: dict[str, int] = {}
    for part in PORTS:  # another stack of this machine may have the real ones
        usual[part] = free_port(0, avoid=tuple(usual.values()))
    monkeypatch.setattr(settings, "PORTS", usual)
    first, _ = Settings.load().with_ports()
    monkeypatch.setenv("ANSWERS_HOME", str(home.parent / "another"))
    second, notes = Settings.load().with_ports()
    assert not set(first.ports.values()) & set(second.ports.values())
    assert len(notes) == len(PORTS)
    register = home.parent / "cache/airflow-answers/ports.json"
    claims = json.loads(register.read_text())
    for claim in claims.values():
        claim["starter"][1] -= 1  # a process of another time
    register.write_text(json.dumps(claims))
    monkeypatch.setenv("ANSWERS_HOME", str(home.parent / "a third"))
    third, _ = Settings.load().with_ports()
    assert list(json.loads(register.read_text())) == [str(third.home)]
    assert list(third.ports.values()) == list(first.ports.values())


def test_a_port_that_is_none_is_refused(home, monkeypatch):
    monkeypatch.setenv("ANSWERS_API_PORT", "http")
    with pytest.raises(ValueError, match="ANSWERS_API_PORT='http' is not a port"):
        Settings.load().with_ports()


def clickhouse(found: Settings) -> tuple:
    connection = found.stored_connections()["clickhouse_default"]
    return connection["host"], connection["port"], connection["login"], connection["password"]


def test_the_warehouse_is_the_embedded_one_or_another_clickhouse_as_at_the_last_start(home, monkeypatch):
    found, _ = Settings.load().with_ports()
    secret = found.secrets["CLICKHOUSE_PASSWORD"]
    assert clickhouse(found) == ("127.0.0.1", found.ports["warehouse"], "answers", secret)
    assert parts_of(found) == PARTS
    monkeypatch.setenv("ANSWERS_CLICKHOUSE", "db.example:8124")
    found.note_clickhouse()
    monkeypatch.delenv("ANSWERS_CLICKHOUSE")
    again = Settings.load()
    assert clickhouse(again) == ("db.example", 8124, "answers", secret)
    assert parts_of(again) == tuple(part for part in PARTS if part != "warehouse")
    again.note_clickhouse()
    assert clickhouse(Settings.load()) == clickhouse(found)
    monkeypatch.setenv("ANSWERS_CLICKHOUSE", "somewhere")
    with pytest.raises(ValueError, match="ANSWERS_CLICKHOUSE='somewhere': give HOST:PORT"):
        Settings.load().clickhouse  # noqa: B018


def test_a_clickhouse_of_this_machine_gets_a_configuration_without_a_password_in_words(home):
    found, _ = Settings.load().with_ports()
    command = server_command("/opt/clickhouse", found)
    assert command[:3] == ["/opt/clickhouse", "server", "--config-file"]
    file = Path(command[3])
    config = json.loads(file.read_text())
    assert (config["listen_host"], config["http_port"]) == ("127.0.0.1", found.ports["warehouse"])
    assert found.secrets["CLICKHOUSE_PASSWORD"] not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert config["users"]["answers"]["networks"]["ip"] == ["127.0.0.1", "::1"]


def test_secrets_are_made_once(home):
    first = Settings.load().secrets
    assert Settings.load().secrets == first
    assert len(set(first.values())) == len(first) == len(SECRETS)
    assert (home / "secrets.env").stat().st_mode & 0o777 == 0o600


@pytest.mark.claim("10.1")
def test_a_stack_that_runs_is_not_given_other_dags(home, tmp_path):
    Settings.load()
    with pytest.raises(RepositoryError, match="runs with DAGs from local: `answers down` first"):
        bundles.choose_dags_source(home, tmp_path, "git", running=True)
    with pytest.raises(RepositoryError, match="--dags svn: should be local or git"):
        bundles.choose_dags_source(home, tmp_path, "svn", running=False)
    assert bundles.dags_source(home) == "local"
