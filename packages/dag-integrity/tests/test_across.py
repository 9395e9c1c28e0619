"""Cycles within a DAG and across DAGs are found before merge, with their path; what only looks like one is not."""

import pytest

from projects import bash, check, dag

WAIT = 'ExternalTaskSensor(task_id="wait_{0}", external_dag_id="{0}", timeout=60{1})'
JUST = 'BashOperator(task_id="a", bash_command="true")'
START = 'TriggerDagRunOperator(task_id="start_{0}", trigger_dag_id="{0}"{1})'
EMIT = 'BashOperator(task_id="emit", bash_command="true", outlets=[Asset("x://{0}")])'
ASSET = '**{**GOOD, "schedule": [Asset("x://%s")]}'
DAILY = '**{**GOOD, "schedule": "@daily"}'
AT = '**{**GOOD, "schedule": "0 %d * * *"}'
MAPPED = 'ExternalTaskSensor.partial(task_id="wait_right", external_dag_id="right", timeout=60).expand(external_task_id=["a"])'
BRANCH = "@task.short_circuit\ndef check():\n    return True\ncheck() >> "


def wait(dag_id: str, extra: str = "") -> str:
    return WAIT.format(dag_id, extra)


def start(dag_id: str, extra: str = "") -> str:
    return START.format(dag_id, extra)


# name -> files of one project: {DAG: (body, arguments)}, and what is to be found: {rule: words of the message}
CASES: dict[str, tuple[dict[str, tuple[str, str]], dict[str, list[str]]]] = {
    "in_a_dag": (
        {"loop": (f"{bash(name='a')}\n{bash(name='b')}\n{bash(name='c')}\na >> b >> c >> a", "**GOOD")},
        {"AA201": ["a -> b -> c -> a"]},
    ),
    "trigger_sensor_asset": (
        # one starts two by a trigger, three waits for two with a sensor, three's asset starts one
        {
            "one": (start("two"), ASSET % "made"),
            "two": (bash(), "**GOOD"),
            "three": (f"{wait('two')} >> {EMIT.format('made')}", DAILY),
        },
        {"AA202": ["one -> two -> three -> one", "one.start_two triggers two", "three.wait_two waits for two", "asset x://made"]},
    ),
    "sensors_of_one_date": (
        {"left": (f"{wait('right')} >> {JUST}", DAILY), "right": (f"{wait('left')} >> {JUST}", DAILY)},
        {"AA202": ["left -> right -> left"]},
    ),
    "sensors_of_tasks": (
        {
            "left": (f"w = {wait('right', ', external_task_id=chr(98)')}\n{bash(name='a')}\nw >> a", DAILY),
            "right": (f"w = {wait('left', ', external_task_id=chr(97)')}\n{bash(name='b')}\nw >> b", DAILY),
        },
        {"AA202": ["left.wait_right waits for right.b", "right.wait_left waits for left.a"]},
    ),
    "sensor_on_its_own_dag": ({"me": (f"{wait('me')} >> {JUST}", DAILY)}, {"AA202": ["me -> me"]}),
    "trigger_that_waits": (
        {"parent": (f"{start('child', ', wait_for_completion=True')} >> {JUST}", DAILY), "child": (wait("parent"), "**GOOD")},
        {"AA202": ["child -> parent -> child", "triggers child and waits for its end"]},
    ),
    "triggers": ({"ping": (start("pong"), "**GOOD"), "pong": (start("ping"), "**GOOD")}, {"AA202": ["ping -> pong -> ping"]}),
    "assets": (
        {"chicken": (EMIT.format("egg"), ASSET % "hen"), "egg": (EMIT.format("hen"), ASSET % "egg")},
        {"AA202": ["chicken -> egg -> chicken"]},
    ),
    "asset_of_its_own": ({"again": (EMIT.format("self"), ASSET % "self")}, {"AA202": ["again -> again"]}),
    "an_hour_back_and_an_hour_ahead": (
        {
            "left": (f"{wait('right', ', execution_delta=timedelta(hours=1)')} >> {JUST}", AT % 2),
            "right": (f"{wait('left', ', execution_delta=timedelta(hours=-1)')} >> {JUST}", AT % 1),
        },
        {"AA202": ["left -> right -> left"]},
    ),
    "mapped_sensors": (
        {
            "left": (MAPPED + f" >> {JUST}", DAILY),
            "right": (f"{wait('left')} >> {JUST}", DAILY),
        },
        {"AA202": ["left -> right -> left"]},
    ),
    "behind_a_branch": (
        {"ping": (BRANCH + start("pong"), "**GOOD"), "pong": (start("ping"), "**GOOD")},
        {"AA203": ["ping -> pong -> ping"]},
    ),
    "deadlock_on_a_branch": (
        {"left": (f"{BRANCH}{wait('right')}", DAILY), "right": (f"{wait('left')} >> {JUST}", DAILY)},
        {"AA203": ["left -> right -> left"]},
    ),
    # --- no cycles ---
    "earlier_date": (
        {"left": (f"{wait('right', ', execution_delta=timedelta(days=1)')} >> {JUST}", DAILY), "right": (wait("left"), DAILY)},
        {},
    ),
    "an_hour_back_and_a_day_back": (
        {
            "left": (f"{wait('right', ', execution_delta=timedelta(hours=1)')} >> {JUST}", AT % 2),
            "right": (f"{wait('left', ', execution_delta=timedelta(hours=23)')} >> {JUST}", AT % 1),
        },
        {},
    ),
    "date_by_a_function": (
        {"left": (f"{wait('right', ', execution_date_fn=lambda d: d')} >> {JUST}", DAILY), "right": (wait("left"), DAILY)},
        {},
    ),
    "other_tasks": (
        {
            "left": (f"{bash(name='first')}\n{wait('right')}", DAILY),
            "right": (f"{wait('left', ', external_task_id=str().join(chr(c) for c in (102,105,114,115,116))')}", DAILY),
        },
        {},
    ),
    "trigger_and_go_on": (
        {"parent": (f"{start('child')} >> {JUST}", DAILY), "child": (wait("parent"), "**GOOD")},
        {},
    ),
    "asset_and_another": (
        {
            "a": (EMIT.format("b"), '**{**GOOD, "schedule": Asset("x://a") & Asset("x://outside")}'),
            "b": (EMIT.format("a"), ASSET % "b"),
        },
        {},
    ),
    "chain": (
        {"a": (start("b"), DAILY), "b": (EMIT.format("c"), "**GOOD"), "c": (wait("a"), ASSET % "c"), "d": (wait("a"), DAILY)},
        {},
    ),
    "marker_and_sensor": (
        {
            "parent": (
                "from airflow.providers.standard.sensors.external_task import ExternalTaskMarker\n"
                'ExternalTaskMarker(task_id="m", external_dag_id="child", external_task_id="wait_parent")', DAILY),
            "child": (wait("parent"), DAILY),
        },
        {},
    ),
    "template": ({"a": (start("{{ params.x }}").replace("start_{{ params.x }}", "s"), DAILY), "b": (start("a"), "**GOOD")}, {}),
    "update_in_place_after_a_sensor": (
        {"poll": ('FileSensor(task_id="f", filepath="x", timeout=60) >> ' + start("poll"), "**GOOD")},
        {},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """One run a case would take minutes: all DAGs of a case get its name as a prefix, and one run sees them all."""
    folder = tmp_path_factory.mktemp("across")
    (folder / "pyproject.toml").write_text('[tool.dag-integrity]\nselect = ["AA1", "AA201", "AA202", "AA203"]\n')
    for case, (dags, _) in CASES.items():
        for name, (body, arguments) in dags.items():
            text = dag(body, f"{case}-{name}", arguments).replace("x://", f"x://{case}/")
            text = text.replace('external_dag_id="', f'external_dag_id="{case}-')
            text = text.replace('trigger_dag_id="', f'trigger_dag_id="{case}-').replace(f"{case}-{{{{", "{{")
            if "FileSensor" in text:
                text = "from airflow.providers.standard.sensors.filesystem import FileSensor\n" + text
            (folder / f"{case}-{name}.py").write_text(text)
    findings, code, errors = check(folder)
    assert code == 1, errors
    return findings


@pytest.mark.claim("4.2")
@pytest.mark.parametrize("case", [case for case, (_, expected) in CASES.items() if expected])
def test_a_cycle_is_found_and_its_path_is_printed(found, case):
    mine = [each for each in found if f"/{case}-" in f"/{each['file'].rpartition('/')[2]}"]
    assert {each["rule"] for each in mine} == set(CASES[case][1]), mine
    for rule, words in CASES[case][1].items():
        (finding,) = [each for each in mine if each["rule"] == rule]
        message = finding["message"].replace(f"{case}-", "").replace(f"{case}/", "")
        assert all(word in message for word in words), message


@pytest.mark.claim("4.2")
@pytest.mark.parametrize("case", [case for case, (_, expected) in CASES.items() if not expected])
def test_what_only_looks_like_a_cycle_is_none(found, case):
    assert [each for each in found if f"/{case}-" in f"/{each['file'].rpartition('/')[2]}"] == []


def test_one_dag_id_in_two_files_names_both(tmp_path):
    for name in ("x", "y"):
        (tmp_path / f"{name}.py").write_text(dag(bash(), "same"))
    findings, _, _ = check(tmp_path, "--select", "AA106", code=1)
    (finding,) = findings
    assert finding["file"].endswith("y.py")
    assert "x.py, line" in finding["message"]
