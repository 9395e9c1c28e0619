"""A DAG that is not serialised would have been serialised without an error; whatever might fail is tried."""

import subprocess
import sys

import pytest
from test_rules import bash, check, dag

MANY = """
@task
def a(x):
    return x

class Strange:
    pass

BashOperator(task_id="b", bash_command="echo {{ ds }}", env={"X": "y"}, outlets=[Asset("x://y")], retries=2) >> a(1)
"""


def made(text: str):
    space: dict = {}
    exec(text, space)
    return space["dag"]


def test_a_plain_dag_is_recognised_and_can_be_serialised():
    from airflow.serialization.serialized_objects import DagSerialization

    from dag_integrity.plain import plain

    for schedule in (
        "None",
        '"@daily"',
        'CronDataIntervalTimetable("0 5 * * *", timezone="Europe/Berlin")',
        "timedelta(days=1)",
    ):
        found = made(dag(MANY, "x", f'**{{**GOOD, "schedule": {schedule}}}'))
        assert plain(found), schedule
        assert DagSerialization.serialize_dag(found)["tasks"]


STRANGE = {
    "params": ("", 'params={"x": 1}, **GOOD'),
    "zone": ("", '**{**GOOD, "schedule": CronDataIntervalTimetable("@daily", timezone="Mars/X")}'),
    "asset": ("", '**{**GOOD, "schedule": [Asset("x://y")]}'),
    "callback": ("", '**{**GOOD, "default_args": {"owner": "me", "on_failure_callback": print}}'),
    "executor": (bash('executor_config={"x": Strange()}', "c"), "**GOOD"),
    "field": (bash('env={"X": Strange()}', "c"), "**GOOD"),
    "address": (bash("env={'X': 'at <object at 0x7f0011223344>'}", "c"), "**GOOD"),
    "mapped": ("a.expand(x=[1, 2])", "**GOOD"),
    "subclass": ("class Own(BashOperator):\n    template_fields = ('pool',)\nOwn(task_id='c', bash_command='true')", "**GOOD"),
    "link": ('TriggerDagRunOperator(task_id="c", trigger_dag_id="x")', "**GOOD"),
}  # fmt: skip


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_not_plain_is_serialised(kind):
    from dag_integrity.plain import plain

    body, arguments = STRANGE[kind]
    assert not plain(made(dag(MANY + body, "x", arguments)))


@pytest.mark.parametrize(("kind", "says"), [("zone", "Mars/X"), ("subclass", "pool")])
def test_what_airflow_cannot_serialise_is_found(tmp_path, kind, says):
    body, arguments = STRANGE[kind]
    (tmp_path / "strange.py").write_text(dag(MANY + body, "strange", arguments))
    findings, *_ = check("--select", "AA101", tmp_path, code=1)
    assert says in findings[0]["message"]


def test_a_file_that_needs_libcst_at_parse_gets_it(tmp_path):
    code = 'assert a(2).operator.get_python_source().startswith("def a")\nimport libcst\nlibcst.parse_module("x = 1")'
    (tmp_path / "source.py").write_text(dag(f"{MANY}{code}", "source"))
    findings, *_ = check("--select", "AA1", tmp_path, code=0)
    assert findings == []


def test_code_of_airflow_2_is_told_what_has_moved_and_what_is_gone(tmp_path):
    old = "from airflow.operators.bash_operator import BashOperator\nfrom airflow.utils.dates import days_ago\n"
    (tmp_path / "old.py").write_text(
        f"from airflow import DAG\n{old}with DAG('old', schedule_interval='@daily') as dag:\n    BashOperator(task_id='a')\n"
    )
    findings, *_ = check("--select", "AA6", tmp_path, code=1)
    by_rule = {each["rule"]: each["message"] for each in findings}
    assert "standard" in by_rule["AA603"]
    assert any(word in by_rule["AA601"] for word in ("schedule_interval", "days_ago"))


def test_the_command_without_the_others_answers_alike():
    one, other = (
        subprocess.run(
            [sys.executable, "-m", module, "integrity", "--list-rules", "-f", "json"], capture_output=True, check=True
        )
        for module in ("answers.__main__", "answers.cli.app")
    )
    assert one.stdout == other.stdout
