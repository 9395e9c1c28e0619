"""Tries what a team with a thousand old findings needs: a baseline, what a branch touches, stand-ins, fixes, a short report."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from dag_integrity import report
from dag_integrity.baseline import Baseline, BaselineError
from dag_integrity.changes import Changes, ChangesError
from dag_integrity.findings import Finding, merged, relative
from projects import bash, check, dag, environment, run

SENSOR = (
    'ExternalTaskSensor(task_id="{0}", external_dag_id="elsewhere", timeout=9, '
    'deferrable=True, external_task_ids=["a", "b"])'
)


def git(folder, *arguments: str) -> None:
    name = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *name, *arguments], check=True, capture_output=True)


def finding(
    line: int = 1, message: str = "m", file: str = "/p/dags/a.py", rule: str = "AA301", dag_id: str = "d"
) -> Finding:
    return Finding(file, line, rule, message, dag_id)


@pytest.mark.claim("9.3")
def test_a_baseline_knows_findings_that_have_moved_and_counts_equal_ones(tmp_path):
    file = str(tmp_path / "dags" / "a.py")
    path = tmp_path / "ci" / "baseline.json"
    path.parent.mkdir()
    old = [
        finding(3, "s waits", file),
        finding(9, "s waits", file),
        finding(4, f"{file}, line 7, defines it too", file, "AA106"),
    ]
    path.write_text(Baseline.of(path, old).text())
    assert str(tmp_path) not in path.read_text()  # the same file on every machine
    baseline = Baseline.read(path)
    moved = [
        finding(13, "s waits", file),
        finding(19, "s waits", file),
        finding(2, f"{file}, line 17, defines it too", file, "AA106"),
    ]
    compared = baseline.compare(moved)
    assert (compared.new, compared.known, compared.gone) == ([], 3, 0)
    more = baseline.compare([*moved, finding(99, "s waits", file)])
    assert [each.line for each in more.new] == [99]
    assert baseline.compare(moved[1:]).gone == 1
    for other in (
        finding(3, "s2 waits", file), finding(3, "s waits", file, "AA302"), finding(3, "s waits", file, dag_id="e"),
        finding(3, "s waits", file + "x"),
    ):  # fmt: skip
        assert baseline.compare([other]).new == [other]


def test_what_a_machine_measures_is_no_new_finding(tmp_path):
    path = tmp_path / "b.json"
    one = finding(1, "imports take 2.3 s of CPU, budget 2.0 s: pandas 1.2 s, numpy 0.8 s", rule="AA406")
    other = finding(1, "imports take 12.9 s of CPU, budget 2.0 s: numpy 7.0 s, pandas 5.1 s", rule="AA406")
    assert Baseline.of(path, [one]).compare([other]).new == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 2, "findings": []}', '{"version": 1, "findings": [{"rule": "AA1"}]}',
             '{"version": 1, "findings": [{"rule": "AA101", "file": "a", "dag_id": "", "message": "m", "count": 0}]}'],
)  # fmt: skip
def test_a_file_that_is_no_baseline_is_refused_by_name(tmp_path, text):
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(BaselineError, match=r"b\.json.*--update-baseline"):
        Baseline.read(tmp_path / "b.json")


@pytest.fixture
def project(tmp_path):
    (tmp_path / "dags").mkdir()
    (tmp_path / "pyproject.toml").write_text(
        '[tool.dag-integrity]\nknown-dags = ["elsewhere"]\nselect = ["AA2", "AA3"]\n'
    )
    (tmp_path / "dags" / "old.py").write_text(dag(SENSOR.format("s"), "old"))
    return tmp_path


@pytest.mark.claim("9.3")
def test_with_a_baseline_only_new_findings_count(project):
    options = ("dags", "--baseline", "known.json")
    refused = run(*options, cwd=project, code=2, CI="true")
    assert "commit it" in refused.stderr  # a gate does not write its own baseline
    assert not (project / "known.json").exists()
    first = run(*options, cwd=project, code=0)
    assert "known.json written with 1 findings" in first.stdout
    moved = "# one\n# two\n" + (project / "dags" / "old.py").read_text()
    (project / "dags" / "old.py").write_text(moved)
    findings, _, _ = check(
        "--baseline", project / "known.json", project, code=0
    )  # from another folder, by another path
    assert findings == []
    (project / "dags" / "new.py").write_text(dag(SENSOR.format("t"), "new"))
    findings, _, errors = check(*options, cwd=project, code=1, CI="true")
    assert [(each["rule"], each["dag_id"]) for each in findings] == [("AA206", "new")]
    assert "1 findings are in known.json already" in errors
    (project / "dags" / "old.py").unlink()
    run(*options, "--update-baseline", cwd=project, code=0)
    assert [each["dag_id"] for each in json.loads((project / "known.json").read_text())["findings"]] == ["new"]


@pytest.mark.claim("9.3")
def test_since_a_revision_what_concerns_changed_files_is_reported(project):
    dags = project / "dags"
    (dags / "helper.py").write_text("NAME = 'used'\n")
    (dags / "importer.py").write_text("import helper\n" + dag(SENSOR.format("i"), "importer"))
    wait = 'ExternalTaskSensor(task_id="w", external_dag_id="{}", timeout=60)'
    (dags / "left.py").write_text(dag(wait.format("right"), "left", '**{**GOOD, "schedule": "@daily"}'))
    (dags / "right.py").write_text(dag(bash(), "right", '**{**GOOD, "schedule": "@daily"}'))
    (dags / "gone.py").write_text(dag(bash(), "gone"))
    (dags / "waits.py").write_text(dag(wait.format("gone"), "waits"))
    git(project, "init", "--quiet", "--initial-branch=main")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message=one")
    findings, _, _ = check("dags", "--since", "main", cwd=project, code=0)
    assert findings == []  # AA206 of old.py and importer.py is older
    (dags / "helper.py").write_text("NAME = 'changed'\n")
    (dags / "right.py").write_text(dag(wait.format("left"), "right", '**{**GOOD, "schedule": "@daily"}'))
    (dags / "gone.py").unlink()
    findings, _, errors = check("dags", "--since", "main", cwd=project, code=1)
    found = {(each["file"], each["rule"]) for each in findings}
    assert ("dags/importer.py", "AA206") in found  # it imports what changed
    assert any(rule == "AA202" for _, rule in found)  # a cycle through right.py
    assert ("dags/waits.py", "AA204") in found  # the DAG that it waits for is gone
    assert not {file for file, _ in found} & {"dags/old.py"}
    assert "3 files that changed since main" in errors


def test_changes_count_from_where_the_branch_left(tmp_path):
    (tmp_path / "a.py").write_text("1")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=one")
    git(tmp_path, "checkout", "--quiet", "-b", "branch")
    git(tmp_path, "checkout", "--quiet", "main")
    (tmp_path / "of_main.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=two")
    git(tmp_path, "checkout", "--quiet", "branch")
    (tmp_path / "new file.py").write_text("1")
    changes = Changes(tmp_path, "main")
    assert {name.rpartition("/")[2] for name in changes.files} == {"new file.py"}
    for wrong in ("nowhere", "--output=x"):
        with pytest.raises(ChangesError):
            Changes(tmp_path, wrong)


GUESS = """
from airflow.providers.nowhere.operators.thing import ThingOperator
from airflow.providers.nowhere.sensors.thing import ThingSensor
import pandas_of_others as pd
from company.helpers import notify, retry
try:
    import orjson_of_others as json
except ImportError:
    import json
assert json.loads("1") == 1

class Own(ThingOperator):
    template_fields = ("sql",)

    def __init__(self, sql, **kwargs):
        super().__init__(**kwargs)
        self.sql = sql
"""


@pytest.mark.claim("9.3")
def test_with_stand_ins_the_rest_of_the_file_is_checked_and_nothing_is_an_error(tmp_path):
    body = (
        'wait = ThingSensor(task_id="wait", host="h")\nown = Own(task_id="own", sql="select 1", conn_id="x")\n'
        'wait >> own >> BashOperator(task_id="b", bash_command="true", on_failure_callback=notify("x"))\n'
        + SENSOR.format("s")
    )
    (tmp_path / "guess.py").write_text(GUESS + dag(body, "guess"))
    (tmp_path / "sure.py").write_text(dag(SENSOR.format("s"), "sure"))
    (tmp_path / "removed.py").write_text("from airflow.operators.nothing_like_it import X\n" + dag(bash(), "removed"))
    (tmp_path / "pyproject.toml").write_text('[tool.dag-integrity]\nknown-dags = ["elsewhere"]\n')
    findings, _, _ = check(tmp_path, code=1)
    assert {each["rule"] for each in findings if each["file"].endswith("guess.py")} <= {
        "AA101",
        "AA504",
    }  # parsing ends
    findings, _, _ = check(tmp_path, "--missing", "stand-in", code=1)
    mine = [each for each in findings if each["file"].endswith("guess.py")]
    named = {each["message"].split()[0] for each in mine if each["rule"] == "AA109"}
    assert named == {"apache-airflow-providers-nowhere", "pandas_of_others", "company"}
    others = [each for each in mine if each["rule"] != "AA109"]
    assert {each["rule"] for each in others} >= {"AA206", "AA301"}  # of the DAG, and of the stand-in's own sensor
    assert all("rests on a stand-in for" in each["message"] and each["severity"] != "error" for each in others)
    (sure,) = [each for each in findings if each["file"].endswith("sure.py")]
    assert (sure["rule"], sure["severity"], "stand-in" in sure["message"]) == ("AA206", "error", False)
    assert [
        each["rule"] for each in findings if each["file"].endswith("removed.py") and each["severity"] == "error"
    ] == ["AA101"]


@pytest.mark.claim("9.3")
def test_fixes_are_shown_first_and_written_when_told(tmp_path):
    (tmp_path / "old.py").write_text(dag(bash(), "old", "start_date=datetime(2026, 1, 1), schedule_interval=None"))
    before = (tmp_path / "old.py").read_text()
    shown = run(tmp_path, "--fix", "--select", "AA601", code=1)
    assert '-with DAG("old", start_date=datetime(2026, 1, 1), schedule_interval=None) as dag:' in shown.stdout
    assert "--fix --yes" in shown.stderr
    assert (tmp_path / "old.py").read_text() == before
    written = run(tmp_path, "--fix", "--yes", "--select", "AA601", "--format", "json", code=0)
    assert json.loads(written.stdout) == []  # the diff does not get between a program and the report
    assert (tmp_path / "old.py").read_text() == before.replace("schedule_interval=None", "schedule=None")


def test_a_deprecated_name_is_one_finding_with_all_its_lines():
    found = [finding(line, "old, still works", rule="AA604") for line in (9, 3, 5)] + [finding(4), finding(5)]
    (deprecated,) = [each for each in merged(found) if each.rule == "AA604"]
    assert (deprecated.line, deprecated.also) == (3, (5, 9))
    assert deprecated.text == "old, still works (also in lines 5, 9)"
    assert deprecated.fingerprint() == finding(77, "old, still works", rule="AA604").fingerprint()
    assert len(merged(found)) == 3


def written(findings: list[Finding], lines: int | None, **console: object) -> list[str]:
    out = Console(width=100, record=True, highlight=False, file=open("/dev/null", "w"), **console)  # noqa: SIM115
    report.Report(findings, 9, 1.0).print(out, lines)
    return out.export_text(styles=bool(console)).splitlines()


def test_the_report_fits_a_screen_and_shows_first_what_blocks():
    many = [Finding(f"dags/{n:03}.py", n + 1, "AA304", "the DAG has no tags", f"d{n}") for n in range(300)]
    found = [Finding("z.py", 1, "AA101", "ImportError"), Finding("a.py", 1, "AA301", "waits", "d"), *many]
    lines = written(found, 40)
    assert len(lines) <= 40
    assert lines[0].startswith("z.py:1  AA101 error")
    assert lines[1].startswith("a.py:1  AA301 warning")
    assert any("more: --all shows them" in line for line in lines)
    summed = [line.split()[:2] for line in lines if line.startswith("  ")]
    assert summed == [["1", "AA101"], ["1", "AA301"], ["300", "AA304"]]
    assert lines[-1] == "9 DAG files in 1.0 s: 1 error, 1 warning, 300 infos"
    assert len([line for line in written(found, None) if "the DAG has no tags" in line]) == 300
    coloured = written(found[:1], 40, force_terminal=True, color_system="standard")
    assert "\x1b[31m" in coloured[0]


def test_paths_are_shown_from_where_one_stands():
    shown = relative(finding(1, "/p/dags/b.py, line 3, defines it too"), base=Path("/p"))
    assert (shown.file, shown.message) == ("dags/a.py", "dags/b.py, line 3, defines it too")


def test_the_command_itself_never_imports_airflow(tmp_path):
    (tmp_path / "d.py").write_text(dag(bash(), "d"))
    code = "import sys; from dag_integrity.command import app\ntry:\n    app([sys.argv[1]])\n"
    code += "finally:\n    print('airflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment()
    )
    assert done.stdout.splitlines()[-1] == "False", done.stderr
