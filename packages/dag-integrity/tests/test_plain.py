"""Shows that a DAG that is not serialised would have been serialised without an error; whatever might fail is tried."""

import pytest

from projects import AIRFLOW, bash, check, dag

MANY = """
@task
def a(x):
    return x

class Strange:
    pass

BashOperator(task_id="b", bash_command="echo {{ ds }}", env={"X": "y"}, outlets=[Asset("x://y")], retries=2) >> a(1)
"""
PLAIN = ("None", '"@daily"', 'CronDataIntervalTimetable("0 5 * * *", timezone="Europe/Berlin")', "timedelta(days=1)")
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


def made(text: str):
    space: dict = {}
    exec(text, space)
    return space["dag"]


@pytest.mark.parametrize("schedule", PLAIN)
def test_a_plain_dag_is_recognised_and_can_be_serialised(schedule):
    from dag_integrity.parser import Serialization
    from dag_integrity.plain import plain

    found = made(dag(MANY, "x", f'**{{**GOOD, "schedule": {schedule}}}'))
    assert plain(found)
    assert Serialization.serialize_dag(found)


# Earlier timetables refuse an unknown zone themselves.
@pytest.mark.parametrize("kind", [kind for kind in STRANGE if kind != "zone" or AIRFLOW >= (3, 2)])
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


def test_a_cycle_is_printed_in_the_direction_of_its_edges():
    from dag_integrity.cycles import find_cycle

    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
