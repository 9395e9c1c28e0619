"""Lends a copy that is handed out this environment's packages, and nothing else of this checkout."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from answers.proof.borrowed import lend_environment
from answers.stack import preflight
from support import PROJECT
from support.tiny_project import Project, hand_out


@pytest.fixture
def project(project: Project) -> Project:
    project.write_faults({})
    return project


def run(python: Path, code: str, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([python, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


WHENCE = "import shop, yaml, sys; print(shop.__file__, yaml.__file__, sys.prefix, sep='\\n')"


@pytest.mark.claim("9.6")
def test_the_borrowed_environment_has_the_copys_code_and_these_packages(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hand_out(project, Path("a copy"))
    copy = tmp_path / "a copy"
    python = copy / ".venv/bin/python"
    wanted = [str(copy / "shop/__init__.py"), yaml.__file__, str(copy / ".venv")]
    assert run(python, WHENCE, tmp_path).splitlines() == wanted
    size = sum(path.lstat().st_size for path in (copy / ".venv").rglob("*"))
    assert size < 200_000
    moved = tmp_path / "moved"
    copy.rename(moved)
    assert run(moved / ".venv/bin/python", WHENCE, Path("/")).startswith(str(moved / "shop"))


@pytest.mark.claim("9.6")
def test_nothing_of_this_checkout_is_on_the_path_of_the_borrowed_environment(project, tmp_path):
    copy = hand_out(project, tmp_path / "copy")
    found = run(copy / ".venv/bin/python", "import sys; print(*sys.path, sep='\\n')", tmp_path).splitlines()
    assert str(copy) in found
    assert str(copy / "packages/dag-integrity/src") not in found, "the tiny project has no such folder"
    assert [path for path in found if path.startswith(str(PROJECT)) and "site-packages" not in path] == []
    code = "import importlib.util as u; print([u.find_spec(name) for name in ('answers', 'include.flights', 'dag_integrity')])"
    assert run(copy / ".venv/bin/python", code, tmp_path) == "[None, None, None]"


def test_commands_of_packages_run_with_the_copys_interpreter(project, tmp_path):
    copy = hand_out(project, tmp_path / "a copy")
    project.write("shop/price.py", "raise RuntimeError('this is not the copy')\n")
    (copy / "setup.cfg").write_text("[mypy]\nfiles = shop\n")
    commands = copy / ".venv/bin"
    test = [commands / "pytest", "-q", "-p", "no:cacheprovider", "-p", "answers.proof.pytest_claims"]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(test, cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    for command in ("mypy", "ruff"):
        subprocess.run([commands / command, "--version"], check=True, capture_output=True, cwd=tmp_path)
    assert (commands / "ruff").resolve().parent != commands
    assert (commands / "python").resolve() == Path(sys.executable).resolve()


def test_a_borrowed_environment_may_be_lent_again_and_does_not_need_the_first_copy(project, tmp_path):
    first = hand_out(project, tmp_path / "first")
    second = tmp_path / "second"
    shutil.copytree(project.root, second)
    code = (
        f"from pathlib import Path; from answers.proof.borrowed import lend_environment as l; l(Path({str(second)!r}))"
    )
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    subprocess.run([first / ".venv/bin/python", "-c", code], env=environment, check=True)
    shutil.rmtree(first)
    wanted = [str(second / "shop/__init__.py"), yaml.__file__, str(second / ".venv")]
    assert run(second / ".venv/bin/python", WHENCE, tmp_path).splitlines() == wanted
    assert subprocess.run([second / ".venv/bin/mypy", "--version"], capture_output=True).returncode == 0


@pytest.fixture
def borrowed(project: Project, monkeypatch) -> Path:
    """A project with a borrowed environment that `make setup` looks at."""
    lend_environment(project.root)
    folder = project.root / ".venv"
    for name, value in (("PROJECT", project.root), ("VENV", folder), ("STAMP", folder / "lock.sha256")):
        monkeypatch.setattr(preflight, name, value)
    monkeypatch.setattr(sys, "argv", ["preflight.py"])
    return folder


def test_setup_leaves_a_borrowed_environment_alone(borrowed, capfd):
    assert preflight.main() == 0
    assert capfd.readouterr().out == ""


def test_setup_says_why_a_borrowed_environment_no_longer_does(borrowed, project, tmp_path, capfd):
    project.write("requirements.txt", "one==1\n")
    assert not preflight.is_borrowed()
    assert "setup: requirements.txt has changed, and this environment's packages are borrowed" in capfd.readouterr().out
    project.write("requirements.txt", "")
    note = borrowed / preflight.LENT
    lent = json.loads(note.read_text())
    lender = tmp_path / "lender"
    packages = lender / "lib" / "python3" / "site-packages"
    lent["packages"] = {str(packages): "made from one lock"}
    note.write_text(json.dumps(lent))
    assert not preflight.is_borrowed()
    assert f"setup: this environment used the packages of {packages}, which is gone" in capfd.readouterr().out
    packages.mkdir(parents=True)
    (lender / "lock.sha256").write_text("made from another lock")
    assert not preflight.is_borrowed()
    assert f"setup: this environment used the packages of {packages}, which are others now" in capfd.readouterr().out
    (lender / "lock.sha256").write_text("made from one lock")
    assert preflight.is_borrowed()
