"""Shows that a file that hangs, crashes, eats memory or leaves processes behind is reported, and the others are checked."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from projects import AIRFLOW, CHECKER, bash, check, dag, environment, wait_for

BAD = {
    "hang": ("while True:\n    pass\n", "AA102", "after 3 s of CPU"),
    "sleep": ("import time\ntry:\n    time.sleep(600)\nexcept BaseException:\n    pass\n", "AA102", "sleeps for 600 s"),
    "naps": ("import time\nfor _ in range(1000):\n    time.sleep(0.02)\n", "AA102", "sleeps for 3"),
    "wait": ("import threading\nthreading.Event().wait(600)\n", "AA102", "still waiting after"),
    "exit": ("import os\nos._exit(3)\n", "AA103", "os._exit(3)"),
    "exit0": ("import os\nos._exit(0)\n", "AA103", "os._exit(0)"),
    "segfault": ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "AA103", "SIGSEGV"),
    "memory": ("x = bytearray(800 * 2**20)\n", "AA104", "256 MB"),
    "sysexit": ("import sys\nsys.exit(4)\n", "AA101", "sys.exit(4)"),
    "syntax": ("def f(:\n", "AA101", "SyntaxError"),
    "recursion": ("def f():\n    return f()\nf()\n", "AA101", "RecursionError"),
    "missing": ("import no_such_package_x\n", "AA101", "install what provides 'no_such_package_x'"),
    "removed": ("from airflow.operators.python_operator import PythonOperator\n", "AA101", "removed in Airflow 3"),
    "raises": ("raise ValueError('a\\nlong\\nstory')\n", "AA101", "ValueError: a long story"),
    "child": ("import subprocess\nsubprocess.Popen(['sleep', '617'])\n", "AA105", "sleep"),
    "daemon": ("import subprocess\nsubprocess.Popen(['setsid', 'sh', '-c', 'sleep 617 & exit 0']).wait()\n", "AA404", "setsid"),
    "fork": ("import os\nos.fork()\n", "AA404", "os.fork"),
    "thread": ("import threading\ndef f():\n    threading.Event().wait(600)\n"
               "threading.Thread(target=f, name='left', daemon=True).start()\n", "AA105", "left"),
}  # fmt: skip


def sleepers() -> list[int]:
    return [
        each.pid for each in psutil.process_iter(["cmdline"]) if (each.info["cmdline"] or [])[:2] == ["sleep", "617"]
    ]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("isolation") / "dags"
    folder.mkdir()
    for number, (name, (code, _, _)) in enumerate(BAD.items()):
        (folder / f"{number:02}_{name}.py").write_text(dag(bash(), f"before_{name}") + code)
        (folder / f"{number:02}_{name}_good.py").write_text(dag(bash(), f"good_{name}", '**{**GOOD, "tags": []}'))
    (folder / "latin.py").write_bytes(b"# airflow dag\nx = '\xe9\xff'\n")
    (folder / "unreadable.py").symlink_to(folder / "nowhere.py")
    (folder / ".airflowignore").write_text("ignored*\n")
    (folder / "ignored.py").write_text("import airflow  # dag\nimport nothing_like_it\n")
    (folder / "helper.py").write_text("import nothing_like_it\n")
    home = folder.parent / "users_airflow_home"
    home.mkdir()
    (home / "airflow.cfg").write_text("[core]\nparallelism = 1\n")
    (home / "airflow.db").write_bytes(b"")
    marks = {each: each.stat().st_mtime_ns for each in home.iterdir()}
    temporary = folder.parent / "tmp"
    temporary.mkdir()
    report = temporary.parent / "report.json"
    options = ("--timeout", "3", "--memory", "256", "--select", "AA1,AA304,AA402,AA404", "--output", report)
    _, code, errors = check(folder, *options, AIRFLOW_HOME=str(home), TMPDIR=str(temporary))
    findings = json.loads(report.read_text())
    by_file: dict[str, list] = {}
    for finding in findings:
        by_file.setdefault(re.sub(r"^\d\d_", "", Path(finding["file"]).stem), []).append(finding)
    return by_file, code, errors, folder, home, marks, temporary


@pytest.mark.claim("9.3")
@pytest.mark.parametrize("name", BAD)
def test_the_bad_file_is_reported(found, name):
    by_file, code, errors, *_ = found
    _, rule, words = BAD[name]
    assert code == 1, errors
    mine = [each for each in by_file.get(name, []) if each["rule"] == rule]
    assert mine, by_file.get(name)
    assert words in mine[0]["message"]
    assert "\n" not in mine[0]["message"]
    assert len(mine[0]["message"]) < 400
    if rule in ("AA102", "AA103") and name != "exit" and name != "exit0":
        code_line = mine[0]["line"]
        assert code_line > 10  # within the part that hangs or crashes, not the file's first line


@pytest.mark.claim("9.3")
@pytest.mark.parametrize("name", BAD)
def test_the_file_beside_it_is_still_checked(found, name):
    by_file = found[0]
    assert [each["rule"] for each in by_file[f"{name}_good"]] == ["AA304"]


def test_a_file_that_is_not_utf8_is_an_import_error(found):
    assert [each["rule"] for each in found[0]["latin"]] == ["AA101"]
    assert "latin" in found[0]["latin"][0]["file"]


def test_what_airflow_skips_is_skipped(found):
    by_file, _, errors, *_ = found
    assert not {"ignored", "helper", "unreadable"} & set(by_file)
    assert f"{2 * len(BAD) + 1} DAG files" in errors


def test_nothing_is_left_behind(found):
    *_, folder, home, marks, temporary = found
    assert sleepers() == []
    assert not [
        each for each in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(each.info["cmdline"] or [])
    ]
    assert {each: each.stat().st_mtime_ns for each in home.iterdir()} == marks  # the user's Airflow is not touched
    assert not list(folder.rglob("__pycache__"))
    assert not list(folder.rglob("*.db"))
    assert list(temporary.iterdir()) == []


def test_a_file_cannot_harm_the_next_one_in_its_process(tmp_path):
    (tmp_path / "helper.py").write_text("VALUE = 1\n")
    vandal = "import os, sys, helper\nsys.path.clear()\nos.environ.clear()\nhelper.VALUE = 2\nos.chdir('/')\n"
    (tmp_path / "a.py").write_text(dag(bash(), "a") + vandal)
    (tmp_path / "b.py").write_text(
        "import os, json.tool, helper\nassert helper.VALUE == 1 and os.environ['PATH']\n" + dag(bash(), "b")
    )
    (tmp_path / "c.py").write_text("import airflow.sdk\nairflow.sdk.DAG = None\n# dag\n")
    (tmp_path / "d.py").write_text(dag(bash(), "d"))
    findings, code, errors = check(tmp_path, "--jobs", "1", "--select", "AA1")
    assert (findings, code) == ([], 0), errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_everything(tmp_path, number):
    (tmp_path / "hang.py").write_text(
        "import airflow, subprocess, threading  # dag\nsubprocess.Popen(['sleep', '617'])\n"
        "open('begun', 'w').close()\nthreading.Event().wait(600)\n"
    )
    process = subprocess.Popen(
        [*CHECKER, str(tmp_path)],
        cwd=tmp_path,
        env=environment(TMPDIR=str(tmp_path)),
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for("the file to hang", (tmp_path / "begun").exists, patience=60)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 3  # zygote, worker, sleep
    process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Traceback" not in errors
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
    assert not list(tmp_path.glob("dag-integrity-*"))


def test_a_project_with_packages_named_like_ours_gets_its_own(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname='x'\n")
    for folder in ("dags", "include", "plugins"):
        (tmp_path / folder).mkdir()
    (tmp_path / "include" / "theirs.py").write_text("NAME = 'theirs'\n")
    (tmp_path / "plugins" / "more.py").write_text("NAME = 'more'\n")
    (tmp_path / "dags" / "d.py").write_text("import include.theirs, plugins.more, more\n" + dag(bash(), "d"))
    findings, code, errors = check(tmp_path / "dags", cwd=tmp_path)
    assert code == 0, (findings, errors)


@pytest.mark.skipif(AIRFLOW < (3, 2), reason="no function of earlier versions lists the files of a folder")
def test_files_are_found_as_airflow_finds_them(tmp_path):
    from dag_integrity import discovery

    for name, text in {
        "a.py": "import airflow # DAG", "b.py": "no", "sub/c.py": "airflow dag", "sub/skip/d.py": "airflow dag",
        "sub/e.txt": "airflow dag", "x/.airflowignore": "*\n!keep.py\n", "x/keep.py": "airflow asset", "x/y.py": "airflow dag",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / ".airflowignore").write_text("skip/\n")
    code = "import sys; from airflow.dag_processing.importers import get_importer_registry as r; import json\n"
    code += f"print(json.dumps(sorted(r().list_dag_files({str(tmp_path)!r}, safe_mode=True))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = [file.path for file in discovery.find([tmp_path], tmp_path, [], []).files]
    assert sorted(ours) == json.loads(done.stdout.splitlines()[-1])
    assert len(ours) == 3
