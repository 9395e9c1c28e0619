"""Shows that each rule of `dag-integrity` finds what it is for, and leaves alone what only looks like it."""

import json
from pathlib import Path

import pytest

from dag_integrity.rules import RULES
from projects import HEAD, bash, can_be_imported, check, dag, two_dags

CONFIG = """
[tool.dag-integrity]
known-pools = ["spark"]
known-connections = ["warehouse"]
known-variables = ["feed"]
known-dags = ["elsewhere_*"]
import-budget = 20
parse-budget = 1.5
heavy-imports = ["sqlite3"]
timeout = 20
"""


CROSSING = """from airflow.sdk import TaskGroup
with TaskGroup("north"):
    a = BashOperator(task_id="a", bash_command="true")
    b = BashOperator(task_id="b", bash_command="true")
with TaskGroup("south") as south:
    c = BashOperator(task_id="c", bash_command="true")
    {}
"""


SENSOR = 'ExternalTaskSensor(task_id="s", external_dag_id="elsewhere_x", {})'
# rule: (what breaks it, what does not). Both are whole files; NAME becomes the name of the file.
EXAMPLES: dict[str, tuple[str, str]] = {
    "AA106": (dag(bash(), "twice") + dag(bash(), "twice"), dag(bash(), "NAME")),
    "AA204": (dag(SENSOR.format("timeout=60").replace("elsewhere", "nowhere"), "NAME"), dag(SENSOR.format("timeout=60"), "NAME")),
    "AA205": (
        dag('ExternalTaskSensor(task_id="s", external_dag_id="aa106_good", external_task_id="b", timeout=60)', "NAME"),
        dag('ExternalTaskSensor(task_id="s", external_dag_id="aa106_good", external_task_id="a", timeout=60)', "NAME"),
    ),
    "AA206": (
        dag(SENSOR.format('external_task_ids=["a", "b"], deferrable=True, timeout=60'), "NAME"),
        dag(SENSOR.format('external_task_ids=["a", "b"], timeout=60'), "NAME"),
    ),
    "AA207": (
        dag('TriggerDagRunOperator(task_id="t", trigger_dag_id="NAME")', "NAME"),
        dag("@task.short_circuit\ndef more():\n    return True\nmore() >> "
            'TriggerDagRunOperator(task_id="t", trigger_dag_id="NAME")', "NAME"),
    ),
    "AA301": (dag(SENSOR.format("poke_interval=5"), "NAME"), dag(SENSOR.format("timeout=3600"), "NAME")),
    "AA302": (
        dag(bash(), "NAME", '**{**GOOD, "default_args": {"retries": 1}}'),
        dag(bash('owner="me"'), "NAME", '**{**GOOD, "default_args": {"retries": 1}}'),
    ),
    "AA303": (
        dag(bash(), "NAME", '**{**GOOD, "default_args": {"owner": "me"}}'),
        dag(bash("retries=2"), "NAME", '**{**GOOD, "default_args": {"owner": "me"}}'),
    ),
    "AA304": (dag(bash(), "NAME", '**{**GOOD, "tags": []}'), dag(bash(), "NAME")),
    "AA305": (
        dag(bash(), "NAME", '**{**GOOD, "description": None}'),
        dag(bash(), "NAME", '**{**GOOD, "description": None}, doc_md="what it is for"'),
    ),
    "AA306": (dag(bash('pool="typo"'), "NAME"), dag(bash('pool="spark"') + "\n" + bash(name="b"), "NAME")),
    "AA307": (
        dag(bash().replace("true", "{{ conn.typo.host }}"), "NAME"),
        dag(bash().replace("true", "{{ conn.warehouse.host }}"), "NAME"),
    ),
    "AA308": (
        dag(bash().replace("true", "{{ var.value.typo }}"), "NAME"),
        dag(bash().replace("true", "{{ var.value.feed }} {{ var.value.get('feed', 1) }}"), "NAME"),
    ),
    "AA309": (
        "from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference\nasync def late(**kw):\n    pass\n"
        + dag(bash(), "NAME", "**GOOD, deadline=DeadlineAlert(reference=DeadlineReference.DAGRUN_QUEUED_AT, "
              "interval=timedelta(hours=1), callback=AsyncCallback(late))"),
        "from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference\n"
        + dag(bash(), "NAME", "**GOOD, deadline=DeadlineAlert(reference=DeadlineReference.DAGRUN_QUEUED_AT, "
              "interval=timedelta(hours=1), callback=AsyncCallback('some_plugin.late'))"),
    ),
    "AA401": (
        dag(bash(), "NAME") + "import sqlalchemy\ntry:\n    sqlalchemy.create_engine('sqlite:///x.db').connect()\n"
        "except OSError:\n    pass\n",
        dag(bash(), "NAME") + "import sqlalchemy\nengine = sqlalchemy.create_engine('sqlite:///x.db')\n",
    ),
    "AA402": (
        dag(bash(), "NAME") + "import socket\ntry:\n    socket.create_connection(('192.0.2.1', 80))\nexcept OSError:\n    pass\n",
        dag(bash(), "NAME") + "import socket\nname = socket.gethostname()\n",
    ),
    "AA403": (
        dag(bash(), "NAME") + "from airflow.sdk import Variable\nx = Variable.get('feed', default='1')\n",
        dag(bash(), "NAME") + "from airflow.sdk import Variable\ndef later():\n    return Variable.get('feed')\n",
    ),
    "AA404": (
        dag(bash(), "NAME") + "import subprocess\nsubprocess.run(['true'])\n",
        dag(bash(), "NAME") + "import subprocess\ndef later():\n    subprocess.run(['true'])\n",
    ),
    "AA405": (
        dag(bash(), "NAME") + "import time\nend = time.process_time() + 1.6\nwhile time.process_time() < end:\n    pass\n",
        dag(bash(), "NAME") + "import threading\nthreading.Event().wait(1.6)\n",  # the clock is not held against it
    ),
    "AA406": ("import sqlite3\n" + dag(bash(), "NAME"), dag("@task\ndef load():\n    import sqlite3\nload()", "NAME")),
    "AA407": (
        "order = '-'.join({'a', 'b', 'c', 'd', 'e', 'f'})\n" + dag("BashOperator(task_id='x', bash_command=order)", "NAME"),
        dag("for x in sorted({'a', 'b', 'c', 'd'}):\n    BashOperator(task_id=x, bash_command='true')", "NAME"),
    ),
    "AA408": (
        "import datetime as dt\nfrom airflow.sdk import DAG\nfrom airflow.providers.standard.operators.bash import BashOperator\n"
        'with DAG("NAME", schedule=None, start_date=dt.datetime.now(), tags=["t"], description="d"):\n'
        '    BashOperator(task_id="a", bash_command="true", owner="me", retries=1)\n',
        dag(bash(), "NAME"),
    ),
    "AA501": (
        dag(bash().replace("true", "{{ data_interval_start }}"), "NAME", '**{**GOOD, "schedule": "@daily"}'),
        dag(bash().replace("true", "{{ data_interval_start }}"), "NAME",
            '**{**GOOD, "schedule": CronDataIntervalTimetable("@daily", timezone="UTC")}'),
    ),
    "AA502": (
        dag(bash(), "NAME", '**{**GOOD, "schedule": "@hourly", "start_date": datetime(2020, 1, 1)}, catchup=True'),
        dag(bash(), "NAME", '**{**GOOD, "schedule": "@hourly", "start_date": datetime(2020, 1, 1)}, catchup=False'),
    ),
    "AA503": (
        dag(bash(), "NAME", '**{**GOOD, "schedule": "@daily"}, end_date=datetime(2025, 1, 1)'),
        dag(bash(), "NAME", '**{**GOOD, "schedule": "@daily"}, end_date=datetime(2027, 1, 1)'),
    ),
    "AA504": (
        HEAD + 'with DAG("NAME", tags=["t"], description="d"):\n    ' + bash('owner="me", retries=1') + "\n",
        HEAD + 'with DAG("NAME", schedule=None, tags=["t"], description="d"):\n    ' + bash('owner="me", retries=1') + "\n",
    ),
    "AA602": (dag(bash("sla=timedelta(hours=1)"), "NAME"), dag(bash("execution_timeout=timedelta(hours=1)"), "NAME")),
    "AA604": ("from airflow import DAG as Old\n" + dag(bash(), "NAME").replace("with DAG", "with Old"), dag(bash(), "NAME")),
    "AA701": (
        dag(bash(), "NAME") + 'PASSWORD = "hunter2-Tr0ub4dor"\n',
        dag(bash(), "NAME") + 'PASSWORD_KEY = "name_of_the_password_variable"\n',
    ),
    "AA107": (
        "from airflow.sdk import dag\n" + HEAD + "@dag(**GOOD)\ndef never():\n    " + bash() + "\n",
        "from airflow.sdk import dag\n" + HEAD + "@dag(dag_id='NAME', **GOOD)\ndef once():\n    " + bash() + "\nonce()\n",
    ),
    "AA208": (
        dag(CROSSING.format("a >> south\n    south >> b"), "NAME"),
        dag(CROSSING.format("a >> south\n    b >> south"), "NAME"),
    ),
    "AA209": (
        two_dags('"0 2 * * *"', '"30 1 * * *"'),
        two_dags('"0 2 * * *"', '"30 1 * * *"', ", execution_delta=timedelta(minutes=30)"),
    ),
    "AA310": (dag(bash().replace("true", "export.sh"), "NAME"), dag(bash().replace("true", "export.sh "), "NAME")),
    "AA409": (
        dag(bash(), "NAME") + "import os\ntry:\n    open('settings.txt')\nexcept OSError:\n    pass\n",
        dag(bash(), "NAME") + "from pathlib import Path\nPath(__file__).resolve().parent.joinpath('NAME.py').read_text()\n",
    ),
    "AA505": (
        dag(bash().replace("true", "{{ ds }}"), "NAME", '**{**GOOD, "schedule": [Asset("NAME")]}'),
        dag(bash().replace("true", "{{ dag_run.run_after | ds }}"), "NAME", '**{**GOOD, "schedule": [Asset("NAME")]}'),
    ),
    "AA605": (
        dag(bash().replace("true", "{{ execution_date }}"), "NAME"),
        dag(bash().replace("true", "{{ params.execution_date }}"), "NAME", '**GOOD, params={"execution_date": "x"}'),
    ),
    "AA901": (dag(bash(), "NAME") + "x = 1  # integrity: ignore[AA301]\n", dag(bash(), "NAME") + "x = 1  # integrity\n"),
    "AA902": (
        dag(bash(), "NAME") + "x = 1  # integrity: ignore[ZZ1]\n",
        dag(bash(), "NAME") + 'x = "# integrity: ignore[ZZ1]"\n',
    ),
}  # fmt: skip
# Those that a file in the same folder must not have, or that need several files, are tested in test_integrity_*.py.
ELSEWHERE = {"AA109", "AA101", "AA102", "AA103", "AA104", "AA105", "AA201", "AA202", "AA203", "AA601", "AA603"}


HERE = [rule for rule, texts in EXAMPLES.items() if all(map(can_be_imported, texts))]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return what one run finds in the files of all examples: {name of the file: rules}."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "pyproject.toml").write_text(CONFIG)
    for rule in HERE:  # a file that cannot be parsed would keep AA204 silent
        for text, kind in zip(EXAMPLES[rule], ("bad", "good"), strict=True):
            name = f"{rule.lower()}_{kind}"
            (folder / f"{name}.py").write_text(text.replace("NAME", name))
    findings, _, errors = check(folder)
    result: dict[str, dict[str, list]] = {}
    for finding in findings:
        result.setdefault(Path(finding["file"]).stem, {}).setdefault(finding["rule"], []).append(finding)
    return result, errors


def test_every_rule_has_an_example():
    assert set(EXAMPLES) | ELSEWHERE == set(RULES)
    assert not set(EXAMPLES) & ELSEWHERE


@pytest.mark.claim("9.3")
@pytest.mark.parametrize("rule", HERE)
def test_the_rule_finds_what_it_is_for_and_nothing_else(found, rule):
    result, errors = found
    mine = result.get(f"{rule.lower()}_bad", {})
    assert rule in mine, (mine, errors)
    assert {"AA101"} & set(mine) == set()
    for finding in mine[rule]:
        assert set(finding) == {"rule", "severity", "file", "line", "dag_id", "message", "fix", "lines"}
        assert finding["severity"] == RULES[rule].severity
        lines = Path(finding["file"]).read_text().splitlines() if Path(finding["file"]).exists() else [""] * 999
        assert 1 <= finding["line"] <= len(lines)
        assert "hunter2" not in json.dumps(finding)


@pytest.mark.parametrize("rule", HERE)
def test_the_rule_leaves_alone_what_is_right(found, rule):
    result, _ = found
    assert rule not in result.get(f"{rule.lower()}_good", {})
    assert not {"AA101", "AA103", "AA407"} & set(result.get(f"{rule.lower()}_good", {}))


def test_a_finding_names_the_line_of_the_task(found):
    result, _ = found
    (finding,) = result["aa206_bad"]["AA206"]
    assert "ExternalTaskSensor(" in EXAMPLES["AA206"][0].splitlines()[finding["line"] - 1]
    assert finding["dag_id"] == "aa206_bad"


def test_the_difference_of_two_parses_is_named(found):
    result, _ = found
    assert any("bash_command" in each["message"] for each in result["aa407_bad"]["AA407"])
