"""The checker in this project: its DAGs are clean, `answers integrity` is an alias, and the hook runs what exists."""

import subprocess
import sys

import pytest
import yaml

from support import PROJECT


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=PROJECT)


@pytest.mark.claim("9.3")
def test_this_projects_dags_are_clean():
    done = run("dag_integrity", "dags", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith("no findings")


def test_answers_integrity_is_an_alias():
    own = run("dag_integrity", "--list-rules", "-f", "json")
    alias = run("answers", "integrity", "--list-rules", "-f", "json")
    among_all = run("answers.cli.app", "integrity", "--list-rules", "-f", "json")
    assert own.stdout == alias.stdout == among_all.stdout
    assert own.returncode == 0


def test_the_hook_runs_the_command_that_exists():
    (hook,) = yaml.safe_load((PROJECT / ".pre-commit-hooks.yaml").read_text())
    assert hook["pass_filenames"] is False  # rules across DAGs need to see them all
    assert hook["language"] == "system"  # it sees the project's providers
    command = f"{sys.prefix}/bin/{hook['entry']}"
    done = subprocess.run([command, "--list-rules"], capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0
    assert "AA202" in done.stdout
