"""`answers` works on the checkout that it was imported from, and on no other one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from answers import checkout
from support import PROJECT


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another checkout of this project, as far as that can be told."""
    folder = tmp_path / "other"
    (folder / "dags").mkdir(parents=True)
    (folder / "pyproject.toml").write_bytes((PROJECT / "pyproject.toml").read_bytes())
    return folder


def start(folder: Path, *command: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    return subprocess.run([sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.claim("9.6")
@pytest.mark.parametrize("folder", [".", "dags"])
@pytest.mark.parametrize(
    "command",
    [
        ["answers"],
        ["answers", "--help"],
        ["answers", "prove", "--show"],
        ["answers", "status"],
        ["answers", "integrity", "dags"],
        ["answers.cli.app", "prove", "--show"],
    ],
    ids=" ".join,
)
def test_every_command_refuses_in_another_checkout(other, folder, command):
    done = start(other / folder, *command)
    assert (done.returncode, done.stdout) == (2, "")
    wanted = f"answers: this command is from {PROJECT}, and you are in another checkout of the project, {other}: "
    assert done.stderr.startswith(wanted)
    assert done.stderr.count("\n") == 1


def test_the_remedy_is_the_command_of_that_checkout_or_what_makes_it(other, monkeypatch):
    monkeypatch.chdir(other)
    command = other / ".venv" / "bin" / "answers"
    assert checkout.refusal().endswith(f": run `make setup` there and then {command}, or leave that folder.")
    command.parent.mkdir(parents=True)
    command.touch()
    assert checkout.refusal().endswith(f": run {command}, or leave that folder.")


def test_a_path_that_leads_the_command_of_a_checkout_elsewhere_is_named(other, monkeypatch):
    monkeypatch.chdir(other)
    monkeypatch.setattr(sys, "prefix", str(other / ".venv"))
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    assert checkout.refusal().endswith(": PYTHONPATH=/elsewhere leads there: unset it.")


@pytest.mark.claim("9.6")
def test_it_works_in_its_own_checkout_and_outside_of_any(tmp_path, monkeypatch):
    linked = tmp_path / "linked"
    linked.symlink_to(PROJECT)
    for folder in (PROJECT, PROJECT / "tests" / "unit", linked, linked / "dags", tmp_path, Path("/")):
        monkeypatch.chdir(folder)
        assert checkout.refusal() is None, folder


def test_another_projects_folder_belongs_to_the_checkout_around_it(other, monkeypatch):
    monkeypatch.chdir(PROJECT / "packages" / "dag-integrity" / "src")
    assert checkout.refusal() is None
    inner = other / "packages" / "dag-integrity"
    inner.mkdir(parents=True)
    (inner / "pyproject.toml").write_text('[project]\nname = "airflow-dag-integrity"\n')
    assert checkout.checkout_of(inner) == other


def test_a_checkout_within_another_is_itself(other):
    inner = other / "exercises" / "first"
    inner.mkdir(parents=True)
    (inner / "pyproject.toml").write_text('[project]\nname = "airflow-answers"\n')
    assert checkout.checkout_of(inner) == inner


def test_a_folder_of_links_is_the_checkout_that_they_lead_to(tmp_path, monkeypatch):
    """So that a deploy may have the DAGs of a tag checked with this checkout's rules."""
    (tmp_path / "pyproject.toml").symlink_to(PROJECT / "pyproject.toml")
    monkeypatch.chdir(tmp_path)
    assert checkout.refusal() is None


def test_a_folder_that_is_gone_is_no_checkout(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert checkout.refusal() is None


def test_asking_needs_nothing_but_the_standard_library(other):
    code = "import sys; from answers.checkout import refusal; print(refusal()); print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=other, env=environment, capture_output=True, text=True, check=True
    )
    assert "another checkout" in done.stdout
    assert {"yaml", "pydantic", "typer", "rich", "subprocess"} & set(done.stdout.split()) == set()
