"""Each DAG is serialised as Airflow does it to store a DAG: what Airflow refuses then is found before merge."""

import pytest

from projects import bash, check, dag

STRANGE = {
    "zone": (bash(), '**{**GOOD, "schedule": CronDataIntervalTimetable("@daily", timezone="Mars/X")}', "Mars/X"),
    "subclass": (
        "class Own(BashOperator):\n    template_fields = ('pool',)\nOwn(task_id='c', bash_command='true')",
        "**GOOD",
        "pool",
    ),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_what_airflow_cannot_serialise_is_found(tmp_path, kind):
    body, arguments, words = STRANGE[kind]
    (tmp_path / "strange.py").write_text(dag(body, "strange", arguments))
    findings, *_ = check("--select", "AA101", tmp_path, code=1)
    assert words in findings[0]["message"]


def test_code_of_airflow_2_is_told_what_has_moved_and_what_is_gone(tmp_path):
    old = "from airflow.operators.bash_operator import BashOperator\nfrom airflow.utils.dates import days_ago\n"
    (tmp_path / "old.py").write_text(
        f"from airflow import DAG\n{old}with DAG('old', schedule_interval='@daily') as dag:\n    BashOperator(task_id='a')\n"
    )
    findings, *_ = check("--select", "AA6", tmp_path, code=1)
    by_rule = {each["rule"]: each["message"] for each in findings}
    assert "standard" in by_rule["AA603"]
    assert any(word in by_rule["AA601"] for word in ("schedule_interval", "days_ago"))
