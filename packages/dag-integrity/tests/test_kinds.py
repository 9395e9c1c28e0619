"""Other examples of what the rules are about: each kind of mistake is found in other clothes, and its look-alikes are none."""
# ruff: noqa: E501 - a table of one-line programs, which is why the file is long

import zipfile
from pathlib import Path

import pytest

from projects import HEAD, bash, can_be_imported, check, dag, two_dags

pytestmark = pytest.mark.claim("9.3")
LOGS = "import logging\ntry:\n    import nowhere\nexcept ImportError:\n    logging.warning('', exc_info=True)\n"
FILE_SENSOR = "from airflow.providers.standard.sensors.filesystem import FileSensor\n"
ASYNC = "from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference, SyncCallback\n"
DEADLINE = (
    "deadline=DeadlineAlert(reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=timedelta(hours=1), callback={})"
)
ON_ASSET = '**{**GOOD, "schedule": [Asset("NAME")]}'
GROUPS = """from airflow.sdk import TaskGroup
with TaskGroup("one"):
    a = BashOperator(task_id="a", bash_command="true")
    b = BashOperator(task_id="b", bash_command="true")
between = BashOperator(task_id="between", bash_command="true")
"""


def echo(text: str, extra: str = "") -> str:
    return bash(extra).replace("true", text)


# Name: (rule, file). The rule has to be found in the file.
FOUND: dict[str, tuple[str, str]] = {
    # template variables that Airflow 3 no longer has
    "removed_in_a_list": ("AA605", dag('BashOperator(task_id="a", bash_command="x", env={"D": "{{ prev_ds_nodash }}"})', "NAME")),
    "removed_in_a_filter": ("AA605", dag(echo("{{ next_execution_date | ds }}"), "NAME")),
    "removed_in_a_condition": ("AA605", dag(echo("{% if tomorrow_ds > '2026' %}x{% endif %}"), "NAME")),
    "removed_as_an_attribute": ("AA605", dag(echo("{{ dag_run.execution_date }}"), "NAME")),
    "removed_in_an_argument": ("AA605", dag("@task\ndef f(x):\n    pass\nf('{{ yesterday_ds }}')", "NAME")),
    "removed_in_a_mapped_task": (
        "AA605", dag('BashOperator.partial(task_id="a").expand(bash_command=["{{ next_ds }}", "x"])', "NAME")),
    # no logical date
    "undated_interval": ("AA505", dag(echo("{{ data_interval_end.year }}"), "NAME", ON_ASSET)),
    "undated_macro": ("AA505", dag(echo("{{ macros.ds_add(ds, 1) }}"), "NAME", ON_ASSET)),
    "undated_or_time": (
        "AA505", "from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable\n" + dag(echo("{{ ts_nodash }}"), "NAME",
        '**{**GOOD, "schedule": AssetOrTimeSchedule(assets=[Asset("NAME")], '
        'timetable=CronTriggerTimetable("@daily", timezone="UTC"))}')),
    # template files
    "missing_in_env": ("AA310", dag('BashOperator(task_id="a", bash_command="x", env={"F": "there/is/none.sh"})', "NAME")),
    "command_that_ends_like_a_file": ("AA310", dag(echo("bash /opt/run.sh"), "NAME")),
    "includes_what_is_missing": ("AA310", dag(echo("includes.sh"), "NAME")),
    # lost DAGs
    "lost_in_a_list": ("AA107", HEAD + "kept = [DAG('NAME', **GOOD)]\n"),
    "lost_in_a_dictionary": ("AA107", HEAD + "kept = {n: DAG(f'NAME_{n}', **GOOD) for n in 'ab'}\n"),
    "lost_by_a_helper": ("AA107", HEAD + "def make(name):\n    return DAG(name, **GOOD)\nmake('NAME')\n"),
    "lost_by_the_last": ("AA107", HEAD + "for n in 'ab':\n    dag = DAG(f'NAME_{n}', **GOOD)\n"),
    "never_called_with_brackets": ("AA107", "from airflow.sdk import dag\n" + HEAD + "@dag(**GOOD)\ndef nightly():\n    pass\n"),
    # groups
    "through_a_task_between": ("AA208", dag(GROUPS + "a >> between >> b", "NAME")),
    # dates
    "no_common_weekday": ("AA209", two_dags('"0 0 * * 1"', '"0 0 * * 2"')),
    "delta_the_wrong_way": ("AA209", two_dags('"0 2 * * *"', '"30 1 * * *"', ", execution_delta=timedelta(minutes=-30)")),
    "other_zone": (
        "AA209", two_dags('"30 2 * * *"', 'CronDataIntervalTimetable("0 2 * * *", timezone="Asia/Kolkata")')),
    "upstream_by_assets": ("AA209", two_dags('"@daily"', '[Asset("NAME_x")]', ", execution_delta=timedelta(days=1)")),
    # relative paths
    "relative_listing": ("AA409", dag(bash(), "NAME") + "import os\ntry:\n    os.listdir('sql')\nexcept OSError:\n    pass\n"),
    "relative_by_pathlib": (
        "AA409", dag(bash(), "NAME") + "from pathlib import Path\ntry:\n    Path('x.sql').read_text()\nexcept OSError:\n    pass\n"),
    "current_folder": ("AA409", dag(bash(), "NAME") + "import os\nx = os.path.join(os.getcwd(), 'sql')\n"),
    "resolved_from_here": ("AA409", dag(bash(), "NAME") + "from pathlib import Path\nx = Path('sql').resolve()\n"),
    "from_the_shell": ("AA409", dag(bash(), "NAME") + "import os\nx = os.environ.get('PWD')\n"),
    "relative_searchpath": ("AA409", dag(bash(), "NAME", '**GOOD, template_searchpath=["sql"]')),
    # sensors
    "mapped_without_timeout": (
        "AA301", FILE_SENSOR + dag('FileSensor.partial(task_id="s").expand(filepath=["/a", "/b"])', "NAME")),
    "rescheduled_with_execution_timeout": (
        "AA301", FILE_SENSOR + dag('FileSensor(task_id="s", filepath="/a", mode="reschedule", '
                                   "execution_timeout=timedelta(hours=1))", "NAME")),
    "run_bounded_too_late": (
        "AA301", FILE_SENSOR + dag('FileSensor(task_id="s", filepath="/a")', "NAME", "**GOOD, dagrun_timeout=timedelta(days=30)")),
    "mapped_deferrable": (
        "AA206", dag('ExternalTaskSensor.partial(task_id="s", external_task_ids=["a", "b"], deferrable=True, timeout=60)'
                     '.expand(external_dag_id=["elsewhere_x", "elsewhere_y"])', "NAME")),
    "lambda_of_a_deadline": ("AA309", ASYNC + "async def outer():\n    pass\n" + dag(
        bash(), "NAME", "**GOOD, " + DEADLINE.format("AsyncCallback(outer)"))),
    # connections and variables
    "second_of_two_connections": ("AA307", dag(echo("{{ conn.warehouse.host }} {{ conn['typo'].host }}"), "NAME")),
    "variable_as_json": ("AA308", dag(echo("{{ var.json.typo.key }}"), "NAME")),
    "variable_got": ("AA308", dag(echo("{{ var.value.get('typo') }}"), "NAME")),
    # the clock
    "clock_in_a_variable": (
        "AA408", "from datetime import date\nTODAY = date.today().isoformat()\n" + dag('BashOperator(task_id="a", bash_command=TODAY)', "NAME")),
    "clock_in_a_helper": (
        "AA408", "import pendulum\ndef start():\n    return pendulum.today('UTC').add(days=-2)\n"
        + dag(bash(), "NAME", '**{**GOOD, "start_date": start()}')),
    "clock_in_default_args": (
        "AA408", "import time\n" + dag(bash(), "NAME", '**{**GOOD, "default_args": {"owner": "x", "retries": 1, '
                                       '"params": {"year": time.strftime("%Y")}}}')),
    "clock_in_a_loop": (
        "AA408", "import datetime as dt\n" + dag("for back in range(3):\n    day = dt.date.today() - timedelta(days=back)\n"
        '    BashOperator(task_id=f"day_{day:%Y%m%d}", bash_command="true")', "NAME")),
    "clock_in_the_id": ("AA408", "import datetime as dt\n" + dag(bash(), "NAME_{}").replace(
        '"NAME_{}"', 'f"NAME_{dt.datetime.now():%Y_%m}"')),
    # Airflow 2
    "context_of_airflow_2": (
        "AA601", "from airflow.sdk import task\n" + HEAD + "@task\ndef f(**context):\n    return context['execution_date']\n"
        "with DAG('NAME', **GOOD):\n    f()\n"),
}  # fmt: skip
# Name: (rules, file). None of the rules may be found in the file.
NOT_FOUND: dict[str, tuple[str, str]] = {
    "default_of_a_removed_name": ("AA605", dag(echo("{{ next_ds | default('x') }}{% if prev_ds is defined %}{{ prev_ds }}{% endif %}"), "NAME")),
    "set_in_the_template": ("AA605", dag(echo("{% set next_ds = macros.ds_add('2026-01-01', 1) %}{{ next_ds }}"), "NAME")),
    "loop_variable": ("AA605", dag(echo("{% for next_ds in [1] %}{{ next_ds }}{% endfor %}"), "NAME")),
    "own_macro": ("AA605", dag(echo("{{ tomorrow_ds }}"), "NAME", '**GOOD, user_defined_macros={"tomorrow_ds": "x"}')),
    "text_without_template": ("AA605", dag(echo("echo execution_date next_ds"), "NAME")),
    "attribute_of_another": ("AA605", dag(echo("{{ params.next_ds }}{{ dag_run.conf.execution_date }}"), "NAME", '**GOOD, params={"next_ds": 1}')),
    "dated_by_a_clock": ("AA505", dag(echo("{{ ds }}"), "NAME", '**{**GOOD, "schedule": "@daily"}')),
    "undated_with_default": ("AA505", dag(echo("{{ ds | default('none') }}"), "NAME", ON_ASSET)),
    "undated_and_asked": ("AA505", dag(echo("{% if ds is defined %}{{ ds }}{% endif %}{{ run_id }}"), "NAME", ON_ASSET)),
    "started_by_hand": ("AA505", dag(echo("{{ ds }}"), "NAME")),
    "file_beside": ("AA310", dag(echo("beside.sh"), "NAME")),
    "searched_elsewhere": ("AA310", dag(echo("export.sh"), "NAME", '**GOOD, template_searchpath=["/nowhere/on/this/machine"]')),
    "literal": ("AA310", "from airflow.sdk import literal\n" + dag('BashOperator(task_id="a", bash_command=literal("run.sh"))', "NAME")),
    "logs_what_is_missing": ("AA409", HEAD + LOGS + dag(bash(), "NAME")),
    "kept_by_globals": ("AA107", HEAD + "kept = {n: DAG(f'NAME_{n}', **GOOD) for n in 'ab'}\nglobals().update(kept)\n"),
    "kept_on_purpose": ("AA107", HEAD + "def probe():\n    with DAG('NAME_probe', auto_register=False, **GOOD):\n        pass\nprobe()\n"),
    "made_twice": ("AA107", HEAD + "dag = DAG('NAME', **GOOD)\ndag = DAG('NAME', **GOOD)\n"),
    "called_elsewhere": ("AA107", "from airflow.sdk import dag\n" + HEAD + "@dag(dag_id='NAME', **GOOD)\ndef shared():\n    pass\n"),
    "calls_elsewhere": ("AA107", "from called_elsewhere import shared  # an airflow dag\nshared()\n"),
    "one_after_another": ("AA208", dag(GROUPS + "a >> b >> between", "NAME")),
    "within_a_group": ("AA208", dag(GROUPS + "b >> a >> between", "NAME")),
    "every_hour": ("AA209", two_dags('"30 3 * * *"', '"*/30 * * * *"')),
    "sometimes": ("AA209", two_dags('"0 0 * * *"', '"0 0 1 1 *"')),
    "same_instant_in_two_zones": ("AA209", two_dags('"30 2 * * *"', 'CronDataIntervalTimetable("0 8 * * *", timezone="Asia/Kolkata")')),
    "date_by_a_function": ("AA209", two_dags('"0 2 * * *"', '"30 1 * * *"', ", execution_date_fn=lambda d: d")),
    "awaited_by_hand": ("AA209", two_dags('"0 2 * * *"', "None")),
    "own_clock": ("AA209", two_dags('"0 2 * * *"', "timedelta(hours=3)")),
    "beside_the_file": ("AA409", dag(bash(), "NAME") + "import os\nx = os.listdir(os.path.dirname(__file__))\n"),
    "copy_of_the_environment": ("AA409", dag(bash(), "NAME") + "import os\nx = {**os.environ, 'STAGE': 'dev'}\n"),
    "reads_in_the_task": ("AA409", dag("@task\ndef f():\n    return open('x')\nf()", "NAME")),
    "set_for_the_deployment": ("AA409", dag(bash(), "NAME") + "import os\nx = os.environ.get('STAGE', 'dev')\n"),
    "waits_for_the_clock": (
        "AA301", "from airflow.providers.standard.sensors.date_time import DateTimeSensor\n"
        + dag('DateTimeSensor(task_id="s", target_time="{{ logical_date }}")', "NAME")),
    "timeout_in_a_group": (
        "AA301", FILE_SENSOR + "from airflow.sdk import TaskGroup\n" + dag(
            'with TaskGroup("g", default_args={"timeout": 60}):\n    FileSensor.partial(task_id="s").expand(filepath=["/a"])', "NAME")),
    "timeout_of_its_class": (
        "AA301", FILE_SENSOR + "class Quick(FileSensor):\n    def __init__(self, **arguments):\n"
        "        super().__init__(timeout=60, **arguments)\n" + dag('Quick.partial(task_id="s").expand(filepath=["/a"])', "NAME")),
    "told_by_a_deadline": (
        "AA301", FILE_SENSOR + ASYNC + dag('FileSensor(task_id="s", filepath="/a")', "NAME",
                                           "**GOOD, " + DEADLINE.format("AsyncCallback('some_plugin.late')"))),
    "arguments_from_a_task": (
        "AA301 AA206", FILE_SENSOR + dag("@task\ndef paths():\n    return [{'filepath': '/a', 'timeout': 60}]\n"
                                         'FileSensor.partial(task_id="s").expand_kwargs(paths())', "NAME")),
    "got_with_default": ("AA307 AA308", dag(echo("{{ var.value.get('typo', 'x') }}{{ var.json.get('typo', {}) }}"), "NAME")),
    "own_variable_called_conn": ("AA307", dag(echo("{% set conn = params.c %}{{ conn.host }}"), "NAME", '**GOOD, params={"c": 1}')),
    "connection_of_the_environment": ("AA307 AA308", dag(echo("{{ conn.given.host }}{{ var.value.given }}"), "NAME")),
    "clock_in_the_task": ("AA407 AA408", "import datetime as dt\n" + dag("@task\ndef f():\n    return dt.datetime.now()\nf()", "NAME")),
    "clock_that_changes_nothing": ("AA407 AA408", "import time\nSTARTED = time.time()\n" + dag(bash(), "NAME")),
    "clock_in_what_nobody_calls": (
        "AA407 AA408", "import datetime as dt\nfrom airflow.sdk import DAG as Plain\n" + HEAD
        + "def probe():\n    return DAG('x', schedule=None, start_date=dt.datetime.now())\n" + dag(bash(), "NAME")),
    "own_argument": (
        "AA601", HEAD + "@task\ndef f(execution_date):\n    return execution_date\nwith DAG('NAME', **GOOD):\n    f(execution_date='x')\n"),
    "own_keyword": (
        "AA601", HEAD + "@task\ndef f(**kwargs):\n    return kwargs.get('next_ds')\nwith DAG('NAME', **GOOD):\n    f(next_ds='x')\n"),
    "own_dictionary": (
        "AA601", HEAD + "context = {'execution_date': 1}\nvalue = context['execution_date']\n" + dag(bash(), "NAME")),
    "only_for_airflow_2": (
        "AA601 AA603", "import airflow\n" + HEAD + "if airflow.__version__.startswith('2.'):\n"
        "    from airflow.utils.dates import days_ago\n    OLD = DAG('x', schedule_interval='@daily', start_date=days_ago(1))\n"
        + dag(bash(), "NAME")),
    "attempt": (
        "AA601 AA603", "try:\n    from airflow.operators.bash_operator import BashOperator as Old\nexcept ImportError:\n    Old = None\n"
        + dag(bash(), "NAME")),
    "redirected": ("AA601 AA603", "from airflow.operators.python import PythonOperator\nfrom airflow.operators.empty import EmptyOperator as E\n"
                   + dag("PythonOperator(task_id='a', python_callable=print)", "NAME")),
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return what one run finds in all of the files: {name of the file: rules}."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "pyproject.toml").write_text(
        '[tool.dag-integrity]\nknown-connections = ["warehouse", "fs_default"]\nknown-variables = ["feed"]\n'
        'known-dags = ["elsewhere_*"]\nimport-budget = 60\nparse-budget = 60\n'
    )
    (folder / "beside.sh").write_text("true")
    (folder / "includes.sh").write_text("{% include 'not_there.sh' %}")
    for name, (_, text) in {**FOUND, **NOT_FOUND}.items():
        (folder / f"{name}.py").write_text(text.replace("NAME", name))
    findings, _, errors = check(folder, AIRFLOW_CONN_GIVEN="http://x.example", AIRFLOW_VAR_GIVEN="x")
    result: dict[str, dict[str, str]] = {}
    for finding in findings:
        result.setdefault(Path(finding["file"]).stem, {})[finding["rule"]] = finding["message"]
    return result, errors


@pytest.mark.parametrize("name", [name for name, (_, text) in FOUND.items() if can_be_imported(text)])
def test_it_is_found(found, name):
    result, errors = found
    assert FOUND[name][0] in result.get(name, {}), (result.get(name), errors)
    assert "AA101" not in result[name]


@pytest.mark.parametrize("name", [name for name, (_, text) in NOT_FOUND.items() if can_be_imported(text)])
def test_it_is_not_found(found, name):
    result, _ = found
    assert not {*NOT_FOUND[name][0].split(), "AA101", "AA103"} & set(result.get(name, {})), result[name]


@pytest.fixture
def project(tmp_path):
    """Make a project with two DAGs, one of which waits for one in a folder that is not there yet."""
    for name in ("dags/team/one.py", "dags/two.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        waits = (
            'ExternalTaskSensor(task_id="s", external_dag_id="far", timeout=60)' if name == "dags/two.py" else bash()
        )
        (tmp_path / name).write_text(dag(waits, Path(name).stem))
    (tmp_path / "pyproject.toml").write_text("[tool.dag-integrity]\n")
    return tmp_path


def rules(*arguments, **options) -> set[tuple[str, str]]:
    findings, *_ = check(*arguments, **options)
    return {(Path(each["file"]).name, each["rule"]) for each in findings}


def test_the_verdict_is_the_same_from_any_folder(project):
    missing = {("two.py", "AA204")}
    assert rules(project / "dags") == rules(project) == missing
    assert rules(".", cwd=project) == rules("dags", cwd=project) == rules(".", cwd=project / "dags") == missing
    assert rules("two.py", "team", cwd=project / "dags") == missing  # all files, given one by one


def test_what_was_not_seen_is_not_called_missing(project):
    assert rules(project / "dags" / "two.py") == set()
    assert rules(project / "dags" / "team") == set()
    other = project / "services" / "other" / "dags"
    other.mkdir(parents=True)
    assert rules(project / "dags") == set()  # there is another DAGs folder
    assert rules(project) == {("two.py", "AA204")}  # which is looked through here
    (other / "far.py").write_text(dag(bash(), "far"))
    assert rules(project) == set()


def test_an_excluded_file_or_another_bundle_may_have_the_dag(project):
    (project / "pyproject.toml").write_text('[tool.dag-integrity]\nexclude = ["dags/team"]\n')
    assert rules(project / "dags") == set()
    (project / "pyproject.toml").write_text('[tool.dag-integrity]\nenv-file = "x.env"\n')
    bundles = '[{"name": "a", "classpath": "x", "kwargs": {}}, {"name": "b", "classpath": "x", "kwargs": {}}]'
    (project / "x.env").write_text(f"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST={bundles}\n")
    assert rules(project / "dags") == set()


def test_a_zip_file_is_checked_as_well(project):
    with zipfile.ZipFile(project / "dags" / "packed.zip", "w") as archive:
        archive.writestr("far.py", "import helper_of_far\n" + dag(bash(), "far", '**{**GOOD, "tags": []}'))
        archive.writestr("helper_of_far.py", "VALUE = 1\n")
        archive.writestr("broken.py", "# an airflow dag\nimport nothing_like_it\nPASSWORD = 'hunter2tuna'\n")
        archive.writestr("inside/ignored.py", "# an airflow dag\nimport nothing_like_it\n")
    found = rules(project / "dags")
    assert found == {("far.py", "AA304"), ("broken.py", "AA101"), ("broken.py", "AA701")}
    findings, *_ = check(project / "dags", "--select", "AA101")
    assert findings[0]["file"].endswith("dags/packed.zip/broken.py")
    assert findings[0]["line"] == 2


@pytest.mark.parametrize("syntax", ["glob", "regexp"])
@pytest.mark.parametrize("asked", ["dags", "dags/team", "dags/team/old_one.py", "."])
def test_the_ignore_file_counts_wherever_the_check_begins(project, syntax, asked):
    (project / "dags" / "team" / "old_one.py").write_text("# an airflow dag\nimport nothing_like_it\n")
    (project / "dags" / ".airflowignore").write_text({"glob": "team/old_*\n", "regexp": "team/old_.*\\.py$\n"}[syntax])
    (project / "pyproject.toml").write_text('[tool.dag-integrity]\nenv-file = "x.env"\nignore = ["AA204"]\n')
    (project / "x.env").write_text(f"AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX={syntax}\n")
    assert rules(asked, cwd=project) == set()


def test_a_file_is_parsed_where_the_deployment_would_parse_it(project):
    (project / "plugins").mkdir()
    (project / "plugins" / "numbers.py").write_text("raise ImportError('the standard library comes first')\n")
    code = (
        "import os, numbers\nfrom airflow.configuration import conf\n"
        f"assert os.getcwd() == os.environ['AIRFLOW_HOME'] == {str(project)!r}\n"
        f"assert conf.get('core', 'dags_folder') == {str(project / 'dags')!r}\n"
    )
    (project / "dags" / "two.py").write_text(code + dag(bash(), "two"))
    assert rules(project, "--select", "AA101") == rules("two.py", "--select", "AA101", cwd=project / "dags") == set()
    assert rules("dags", "--select", "AA101", cwd=project, AIRFLOW_HOME="/elsewhere") == {("two.py", "AA101")}


def test_a_variable_of_the_environment_that_is_missing_is_named(project):
    (project / "dags" / "two.py").write_text(
        "import os\nSTAGE = os.environ['STAGE_OF_DEPLOYMENT']\n" + dag(bash(), "two")
    )
    findings, *_ = check(project / "dags", "--select", "AA101", code=1)
    assert "'STAGE_OF_DEPLOYMENT' is not set here: env-file" in findings[0]["message"]
