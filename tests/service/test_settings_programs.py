"""Finds Java, and gives a stack its DAGs from git."""

import json
import subprocess
from pathlib import Path

import pytest

from answers.stack import bundles
from answers.stack.java import find_java, java_version
from answers.stack.repository import Repository
from answers.stack.settings import Settings
from support.deploys import Project


def test_without_java_the_wheels_jdk_runs_with_the_flags_of_sparks_launcher(tmp_path, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    java = find_java(tmp_path) / "bin" / "java"
    assert java_version(str(java)) >= 17
    assert f'JAVA_VERSION="{java_version(str(java))}' in (java.parents[1] / "release").read_text(), "a JDK names itself"
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


@pytest.mark.claim("10.1")
def test_the_stack_has_its_dags_from_git_once_that_is_chosen(home, tmp_path):
    settings = Settings.load()
    assert "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST" not in settings.environment()
    project = Project(tmp_path)
    commit = project.commit("one", {"dags/none.py": ""})
    bundles.choose_dags_source(home, project.folder, "git", running=False)
    (bundle,) = json.loads(settings.environment()["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    followed = Repository(Path(bundle["kwargs"]["repo_url"])).head(bundle["kwargs"]["tracking_ref"])
    assert followed == commit
    bundles.choose_dags_source(home, project.folder, None, running=True)
    assert bundles.dags_source(home) == "git"
