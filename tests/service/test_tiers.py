"""Runs tests of the tier unit that do what the tier may not: they fail, and are told where they belong."""

import shutil
import subprocess
import sys

import pytest

from support import PROJECT

KINDS = {
    "a process": "subprocess.run(['true'])",
    "a process, every error caught": "\n".join(
        ("try:", "        os.posix_spawn('/bin/true', ['true'], {})", "    except BaseException:", "        pass")
    ),
    "a process in a thread": "thread = threading.Thread(target=os.system, args=('true',)); thread.start(); thread.join()",
    "a database of Airflow": "sqlite3.connect('airflow.db')",
}


@pytest.fixture(scope="module")
def tier_output(tmp_path_factory) -> str:
    """Return what pytest says of one test of each kind, and of one that does nothing of it."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(PROJECT / "tests/unit/conftest.py", folder)
    tests = [f"def test_{number}():\n    {body}\n" for number, body in enumerate(KINDS.values())]
    head = "import os, sqlite3, subprocess, threading\n"
    (folder / "test_kinds.py").write_text("\n\n".join([head, *tests, "def test_quick():\n    assert True\n"]))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rA",
        "--rootdir",
        str(folder),
        "-p",
        "no:cacheprovider",
        str(folder),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("number", "kind"), enumerate(KINDS), ids=str)
def test_a_test_of_the_tier_unit_that_does_not_belong_there_fails(tier_output, number, kind):
    assert f"FAILED test_kinds.py::test_{number} " in tier_output


def test_it_is_told_where_it_belongs_and_another_test_passes(tier_output):
    assert tier_output.count("move the test to tests/service or tests/dag") >= len(KINDS)
    assert "PASSED test_kinds.py::test_quick" in tier_output
