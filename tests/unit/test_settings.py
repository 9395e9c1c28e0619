"""The settings of the embedded stack: ports, secrets, Java."""

import json
import socket
import subprocess
from pathlib import Path

import pytest

from answers.stack import bundles
from answers.stack.java import find_java, java_version
from answers.stack.repository import Repository, RepositoryError
from answers.stack.settings import PORTS, SECRETS, Settings
from support.deploys import Project


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ANSWERS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for part in PORTS:
        monkeypatch.delenv(f"ANSWERS_{part.upper()}_PORT", raising=False)
    return tmp_path / "home"


def test_without_java_the_wheels_jdk_runs_with_the_flags_of_sparks_launcher(tmp_path, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    java = find_java(tmp_path) / "bin" / "java"
    assert java_version(str(java)) >= 17
    flags = ["--add-modules=jdk.incubator.vector", "-Dwith=a space", "-version"]
    done = subprocess.run([java, *flags], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr


def test_an_old_java_is_passed_over(tmp_path, monkeypatch):
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    old.chmod(0o755)
    assert java_version(str(old)) == 11
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(old.parent))
    assert find_java(tmp_path / "home") != tmp_path


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


def test_secrets_are_made_once(home):
    first = Settings.load().secrets
    assert Settings.load().secrets == first
    assert len(set(first.values())) == len(first) == len(SECRETS)
    assert (home / "secrets.env").stat().st_mode & 0o777 == 0o600


@pytest.mark.claim("10.1")
def test_the_stack_has_its_dags_from_git_once_that_is_chosen(home, tmp_path):
    settings = Settings.load()
    assert "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST" not in settings.environment()
    project = Project(tmp_path)
    commit = project.commit("one", {"dags/none.py": ""})
    bundles.choose(home, project.folder, "git", running=False)
    (bundle,) = json.loads(settings.environment()["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    followed = Repository(Path(bundle["kwargs"]["repo_url"])).head(bundle["kwargs"]["tracking_ref"])
    assert followed == commit
    bundles.choose(home, project.folder, None, running=True)
    assert bundles.chosen(home) == "git"


@pytest.mark.claim("10.1")
def test_a_stack_that_runs_is_not_given_other_dags(home, tmp_path):
    Settings.load()
    with pytest.raises(RepositoryError, match="runs with DAGs from local: `answers down` first"):
        bundles.choose(home, tmp_path, "git", running=True)
    with pytest.raises(RepositoryError, match="--dags svn: should be local or git"):
        bundles.choose(home, tmp_path, "svn", running=False)
    assert bundles.chosen(home) == "local"
