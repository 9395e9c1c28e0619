"""`make setup` on a small project: an environment is made from a lock, once; what fails leaves no stamp."""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from answers.stack import preflight

# A build backend of the project's own, so that nothing has to be fetched.
BACKEND = """
import zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        wheel.writestr("tiny.pth", __import__("os").getcwd())
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    return name
"""


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project with one locked package, which lies beside it; uv is on PATH."""
    folder = tmp_path / "project"
    folder.mkdir()
    wheel = folder / "dep-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("dep.py", "ANSWER = 42\n")
        archive.writestr("dep-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: dep\nVersion: 1.0\n")
        archive.writestr("dep-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("dep-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (folder / "requirements.txt").write_text(f"dep @ {wheel.as_uri()} --hash=sha256:{digest}\n")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "tiny"\nversion = "1.0"\n'
    )
    (folder / "backend.py").write_text(BACKEND)
    for name, value in (("PROJECT", folder), ("VENV", folder / ".venv"), ("STAMP", folder / ".venv/lock.sha256")):
        monkeypatch.setattr(preflight, name, value)
    monkeypatch.setattr(preflight, "DISK", 0)  # what this one takes
    monkeypatch.setattr(sys, "argv", ["preflight.py"])
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    assert shutil.which("uv")
    return folder


def answer(project: Path) -> str:
    code = "import dep, tiny_module; print(dep.ANSWER)"
    (project / "tiny_module.py").write_text("")
    done = subprocess.run([project / ".venv/bin/python", "-c", code], capture_output=True, text=True, cwd="/")
    return done.stdout.strip() or done.stderr


def test_an_environment_is_made_from_the_lock_and_not_made_again(project, capfd):
    assert preflight.main() == 0
    assert f"setup: making {project / '.venv'} with Python" in capfd.readouterr().out
    assert answer(project) == "42"
    assert preflight.main() == 0
    assert "making" not in capfd.readouterr().out


def test_a_package_that_is_not_as_locked_fails_and_is_tried_again(project, capfd):
    lock = (project / "requirements.txt").read_text()
    (project / "requirements.txt").write_text(lock[:-5] + "0000\n")
    assert preflight.main() == 1
    assert "setup: installation failed" in capfd.readouterr().err
    assert not preflight.STAMP.exists()
    (project / "requirements.txt").write_text(lock)
    assert preflight.main() == 0
    assert answer(project) == "42"


def test_a_machine_that_is_not_fit_is_told_why_and_nothing_is_made(project, monkeypatch, capfd):
    monkeypatch.setattr(preflight, "NEWEST", (3, 10))
    assert preflight.main() == 1
    assert "setup: Python" in capfd.readouterr().err
    assert not (project / ".venv").exists()


def test_a_disk_that_is_too_small_for_the_environment_is_told_and_nothing_is_made(project, monkeypatch, capfd):
    monkeypatch.setattr(preflight, "DISK", 4 << 30)
    monkeypatch.setattr(preflight, "disk_available", lambda folder: 1 << 30)
    assert preflight.main() == 1
    assert f"{project} has 1.0 GB of free disk, 4 GB are needed to make .venv: make room" in capfd.readouterr().err
    assert not (project / ".venv").exists()
    (project / ".venv").mkdir()  # of an older lock: its room comes back
    assert preflight.problems()[0].endswith("1.0 GB of free disk, 2 GB are needed to make .venv: make room")
    monkeypatch.setattr(preflight, "disk_available", lambda folder: 3 << 30)
    assert preflight.problems() == []


@pytest.mark.parametrize("version", [2, 1])
def test_a_containers_memory_counts_and_its_cache_does_not(tmp_path, monkeypatch, version):
    monkeypatch.setattr(preflight, "CGROUPS", tmp_path)
    (tmp_path / "memory").mkdir()
    limit, used, statistics, key = preflight.CGROUP_MEMORY[2 - version]
    (tmp_path / limit).write_text("1000000\n")
    (tmp_path / used).write_text("900000\n")
    (tmp_path / statistics).write_text(f"cache 7\n{key} 300000\n")
    assert preflight.memory_available() == 400_000
    (tmp_path / limit).write_text("max\n")
    assert preflight.memory_available() > 1_000_000


def test_help_says_what_it_does(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["preflight.py", "--help"])
    assert preflight.main() == 0
    assert "Checks the machine" in capsys.readouterr().out
