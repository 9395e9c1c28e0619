"""The command `dag-integrity`: formats, exit codes, configuration and suppression."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from dag_integrity import report
from dag_integrity.check import usable_cores
from dag_integrity.config import Config, ConfigError, load
from dag_integrity.findings import Finding, suppress
from dag_integrity.rules import RULES
from projects import PACKAGE, bash, check, dag, environment, run

FINDINGS = [
    Finding("dags/a b.py", 3, "AA101", "ValueError: <&> \x1b[31m broken", None),
    Finding("dags/a b.py", 7, "AA301", "the sensor s waits up to seven days", "d", 5),
    Finding("dags/a b.py", 9, "AA301", "the sensor s waits up to seven days", "d", 5),
    Finding("dags/c.py", 1, "AA304", "the DAG has no tags", "c", 1),
]
STRING, NUMBER = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 1}
LEVEL = {"enum": ["error", "warning", "note", "none"]}


def needs(**properties: object) -> dict:
    return {"type": "object", "required": list(properties), "properties": properties}


def many(item: dict) -> dict:
    return {"type": "array", "items": item, "minItems": 1}


# The published schema is no package; this is the part of SARIF 2.1.0 (sections 3.13 to 3.29, 3.49) that the report uses.
SARIF = needs(
    version={"const": "2.1.0"},
    runs=many(needs(
        tool=needs(driver=needs(name=STRING, rules=many(needs(
            id=STRING, shortDescription=needs(text=STRING), defaultConfiguration=needs(level=LEVEL))))),
        results=many(needs(
            ruleId=STRING, ruleIndex={"type": "integer", "minimum": 0}, level=LEVEL, message=needs(text=STRING),
            locations=many(needs(physicalLocation=needs(
                artifactLocation=needs(uri={"type": "string", "pattern": "^[^ ]+$"}), region=needs(startLine=NUMBER)))),
            partialFingerprints={"type": "object", "additionalProperties": STRING})))),
)  # fmt: skip
# https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
GITLAB = many(needs(
    description=STRING, check_name=STRING, fingerprint=STRING,
    severity={"enum": ["info", "minor", "major", "critical", "blocker"]},
    location=needs(path={"type": "string", "pattern": "^(?!\\./)"}, lines=needs(begin=NUMBER)),
))  # fmt: skip


def test_cores_are_those_of_this_process_else_of_the_machine(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    if hasattr(os, "sched_getaffinity"):
        assert usable_cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    assert usable_cores() == 7


@pytest.fixture
def project(tmp_path):
    """A project with one DAG that has no tags, and a pyproject.toml to be completed."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "d.py").write_text(dag(bash(), "d", '**{**GOOD, "tags": []}'))
    (tmp_path / "pyproject.toml").write_text("[tool.dag-integrity]\n")
    return tmp_path


@pytest.mark.claim("9.3")
def test_json_is_an_array_of_findings():
    entries = json.loads(report.as_json(FINDINGS))
    assert [set(each) for each in entries] == [
        {"rule", "severity", "file", "line", "dag_id", "message", "fix", "lines"}
    ] * 4
    assert json.loads(report.as_json([])) == []


@pytest.mark.claim("9.3")
def test_sarif_has_the_structure_of_the_standard():
    document = json.loads(report.as_sarif(FINDINGS, "1.0"))
    jsonschema.validate(document, SARIF)
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == [each.rule for each in FINDINGS]
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "dags/a%20b.py"
    prints = [json.dumps(each["partialFingerprints"]) for each in run["results"]]
    assert len(set(prints)) == len(prints)
    assert json.loads(report.as_sarif([], "1.0"))["runs"][0]["results"] == []


@pytest.mark.claim("9.3")
def test_gitlab_code_quality_has_its_fields_and_stable_fingerprints():
    entries = json.loads(report.as_gitlab(FINDINGS))
    jsonschema.validate(entries, GITLAB)
    assert len({each["fingerprint"] for each in entries}) == len(entries)
    moved = [Finding(each.file, each.line + 10, each.rule, each.message, each.dag_id) for each in FINDINGS]
    again = json.loads(report.as_gitlab(moved))
    assert [each["fingerprint"] for each in again] == [each["fingerprint"] for each in entries]


@pytest.mark.claim("9.3")
def test_junit_is_xml_whose_counts_agree():
    root = ElementTree.fromstring(report.as_junit(FINDINGS, 2))
    assert root.tag == "testsuites"
    assert int(root.get("failures")) == len(root.findall(".//failure")) == 4
    for suite in root.findall("testsuite"):
        assert int(suite.get("tests")) == len(suite.findall("testcase"))
    passed = ElementTree.fromstring(report.as_junit([], 2))
    assert len(passed.findall(".//testcase")) == 1
    assert not passed.findall(".//failure")


@pytest.mark.claim("9.3")
def test_exit_codes_and_a_report_in_a_file(project):
    dags, file = project / "dags", project / "out.json"
    findings, _, _ = check(dags, code=0)  # AA304 is only information
    assert [each["rule"] for each in findings] == ["AA304"]
    _, _, errors = check(
        dags / "d.py", "--fail-on", "info", "--output", file, "--format", "gitlab", code=1, cwd=project
    )
    assert "1 DAG file" in errors
    (entry,) = json.loads(file.read_text())
    assert entry["location"]["path"] == "dags/d.py"
    done = run("--ignore", "AA304", dags, code=0)
    assert "\x1b" not in done.stdout
    assert done.stdout.splitlines()[-1].endswith("no findings")


@pytest.mark.claim("9.3")
def test_one_run_makes_all_reports(project):
    done = run(
        "dags",
        "-o",
        "junit=j.xml",
        "-o",
        "sarif=s.sarif",
        "-o",
        "gitlab=g.json",
        "-o",
        "text=t.txt",
        cwd=project,
        code=0,
    )
    assert ElementTree.parse(project / "j.xml").getroot().get("failures") == "1"
    jsonschema.validate(json.loads((project / "s.sarif").read_text()), SARIF)
    jsonschema.validate(json.loads((project / "g.json").read_text()), GITLAB)
    assert "dags/d.py:13  AA304 info" in (project / "t.txt").read_text()
    assert done.stdout == ""  # the text went to its file
    assert done.stderr.splitlines()[-1].endswith("1 info")
    assert not list(project.glob(".*"))  # what is written beside a report is gone


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no/such/path"], "no such file or folder: no/such/path"),
        ([], "which files?"),
        (["dags", "--format", "pdf"], "--format pdf: should be one of text"),
        (["dags", "--select", "XX1"], "--select = ['XX1']: 'XX1' is no rule"),
        (["dags", "--fail-on", "never"], "--fail-on = 'never'"),
        (["dags", "--jobs", "0"], "--jobs = 0"),
        (["dags", "--memory", "1"], "--memory = 1"),
        (["dags", "--output", "no/such/folder/x"], "there is no folder"),
        (["dags", "--output", "junit=no/such/folder/x"], "there is no folder"),
        (["dags", "--output", "junit=x", "--output", "sarif=x"], "two reports go to one file"),
        (["dags", "--output", "dags"], "should name a file"),
        (["dags", "--missing", "pretend"], "--missing = 'pretend'"),
        (["dags", "--baseline", "no/such/folder/x"], "there is no folder"),
        (["dags", "--update-baseline"], "of which file?"),
        (["dags", "--since", "no-such-revision"], "--since: git rev-parse"),
        (["--explain", "AA999"], "no such rule"),
    ],
)
def test_a_wrong_option_is_explained_before_airflow_is_imported(project, arguments, words):
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    code = "import sys; from dag_integrity.command import app\ntry:\n    app(sys.argv[1:])\n"
    code += "finally:\n    print('airflow' in sys.modules)"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=project, env=environment(), timeout=60)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('select = "AA1"', "select = 'AA1': Input should be a valid list"),
        ('ignore = ["QQ"]', "ignore = ['QQ']: 'QQ' is no rule"),
        ('per-file-ignores = {"a.py" = ["QQ"]}', "per-file-ignores"),
        ('fail-on = "nothing"', "fail-on = 'nothing'"),
        ("known-pools = [1]", "known-pools.0 = 1"),
        ('known-connections = "x"', "known-connections = 'x'"),
        ("known-variables = {}", "known-variables"),
        ("parse-budget = 0", "parse-budget = 0"),
        ('import-budget = "fast"', "import-budget = 'fast'"),
        ("import-budget = true", "import-budget = True"),
        ("timeout = -1", "timeout = -1"),
        ("memory = 1.5", "memory = 1.5"),
        ("jobs = 0", "jobs = 0"),
        ("max-catchup-runs = -1", "max-catchup-runs = -1"),
        ('determinism = "maybe"', "determinism = 'maybe'"),
        ("high-entropy = 1", "high-entropy = 1"),
        ("heavy-imports = 3", "heavy-imports = 3"),
        ("no-such-key = 1", "no-such-key = 1: no such key; there are"),
    ],
)
def test_a_wrong_configuration_names_key_and_value(project, line, words):
    (project / "pyproject.toml").write_text(f"[tool.dag-integrity]\n{line}\n")
    with pytest.raises(ConfigError) as error:
        load(project / "dags", {})
    assert words in str(error.value)
    assert str(project / "pyproject.toml") in str(error.value)


def test_a_broken_configuration_ends_with_2(project):
    (project / "pyproject.toml").write_text("[tool.dag-integrity]\nenv-file = 'none.env'\n")
    _, _, errors = check(project / "dags", code=2)
    assert "env-file = 'none.env'" in errors
    (project / "pyproject.toml").write_text("[tool.dag\n")
    _, _, errors = check(project / "dags", code=2)
    assert "pyproject.toml" in errors


def test_the_nearest_configuration_counts_and_options_override_it(project):
    inner = project / "dags" / "team"
    inner.mkdir()
    (inner / "pyproject.toml").write_text('[project]\nname = "has no table"\n')
    (project / "pyproject.toml").write_text('[tool.dag-integrity]\ntimeout = 7\nignore = ["AA304"]\n')
    loaded = load(inner, {"timeout": 9.0})
    assert (loaded.config.timeout, loaded.config.ignore, loaded.base) == (9.0, ["AA304"], project)
    assert load(inner, {"ignore": ["AA301"]}).config.ignore == ["AA304", "AA301"]  # adds to the file's
    assert load(Path("/"), {}).config == Config()


def test_the_old_name_of_the_table_is_read_and_called_deprecated(project):
    (project / "pyproject.toml").write_text('[tool.answers.integrity]\nignore = ["AA304"]\n')
    findings, _, errors = check(project / "dags", code=0)
    assert findings == []
    assert "[tool.answers.integrity] is now called [tool.dag-integrity]" in errors
    (project / "pyproject.toml").write_text('[tool.answers.integrity]\n[tool.dag-integrity]\nignore = ["AA3"]\n')
    assert load(project / "dags", {}).config.ignore == ["AA3"]
    assert not load(project / "dags", {}).deprecated


def test_per_file_ignores_and_exclude(project):
    (project / "pyproject.toml").write_text(
        '[tool.dag-integrity]\nper-file-ignores = {"dags/d*.py" = ["AA3"]}\nexclude = ["dags/x"]\n'
    )
    (project / "dags" / "x").mkdir()
    (project / "dags" / "x" / "y.py").write_text("import airflow  # dag\nboom\n")
    findings, _, _ = check(project / "dags", code=0)
    assert findings == []


def test_a_comment_on_the_line_or_on_the_dags_line_suppresses(tmp_path):
    sensor = (
        'from airflow.providers.standard.sensors.filesystem import FileSensor\nFileSensor(task_id="{}", filepath="x")'
    )
    text = dag(sensor.format("s"), "d")
    (tmp_path / "task.py").write_text(text.replace('filepath="x")', 'filepath="x")  # integrity: ignore[AA301]'))
    (tmp_path / "dag.py").write_text(
        text.replace('DAG("d", **GOOD) as dag:', 'DAG("e", **GOOD) as dag:  # integrity: ignore[AA301, AA302]')
    )
    decorated = "from airflow.sdk import dag\n@dag(**GOOD)  # integrity: ignore[AA3]\ndef f():\n"
    (tmp_path / "decorated.py").write_text(
        dag(bash(), "g") + decorated + "    " + sensor.format("t").split("\n")[1] + "\nf()\n"
    )
    (tmp_path / "decorated.py").write_text(sensor.split("\n")[0] + "\n" + (tmp_path / "decorated.py").read_text())
    findings, _, errors = check(tmp_path)
    assert [(Path(each["file"]).name, each["rule"], each["message"]) for each in findings] == [
        ("dag.py", "AA901", "nothing on this line breaks AA302")
    ], errors


def test_a_string_that_looks_like_a_comment_suppresses_nothing(tmp_path):
    file = tmp_path / "x.py"
    file.write_text('text = "# integrity: ignore"\nother = 1  # integrity: ignore\n')
    findings = [Finding(str(file), 1, "AA101", "m"), Finding(str(file), 2, "AA101", "m")]
    assert suppress(findings, [str(file)], set(RULES)) == findings[:1]


def test_the_readme_is_generated():
    """`python packages/dag-integrity/readme.py` writes the tables of rules and of the configuration anew."""
    done = subprocess.run(
        [sys.executable, PACKAGE / "readme.py", "--check"], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stderr


def test_a_rule_is_explained():
    done = run("--explain", "aa203", code=0)
    assert RULES["AA203"].why in done.stdout
    assert RULES["AA203"].fix in done.stdout
    assert "AA204" not in done.stdout
    assert json.loads(run("--list-rules", "-f", "json", code=0).stdout)[0]["id"] == "AA101"
    assert re.match(r"dag-integrity \d+\.\d+", run("--version", code=0).stdout)
