"""Projects of several files: what the deployment would parse, with which settings, and what was not seen."""
# ruff: noqa: E501 - a table of small projects

import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from projects import check

pytestmark = pytest.mark.claim("9.3")
HEAD = """import pendulum
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.providers.standard.sensors.filesystem import FileSensor
COMMON = dict(schedule="@daily", start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), catchup=False, tags=["d"], description="d", default_args=dict(owner="me", retries=1))
"""
BROKEN = "from airflow.sdk import DAG\nraise RuntimeError('this dag file must not be parsed')\n"
WITHOUT = 'COMMON["default_args"] = {"owner": "me"}\n'
HOME = """import os
from pathlib import Path
from airflow.configuration import conf
assert Path(conf.get('core', 'dags_folder')).samefile(os.path.dirname(__file__))
assert Path(os.environ['AIRFLOW_HOME'], 'sql', 'x.sql').exists()
"""
CFG = """[core]
default_task_retries = 2
dag_ignore_file_syntax = regexp
[sensors]
default_timeout = 600
[secrets]
backend = no.such.Backend
[database]
sql_alchemy_conn = postgresql://u:p@nowhere/x
"""
TWO_BUNDLES = 'AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=[{"name":"a","classpath":"x","kwargs":{}},{"name":"b","classpath":"x","kwargs":{}}]\n'


def dag(id_: str, body: str = 'BashOperator(task_id="a", bash_command="true")', before: str = "") -> str:
    return f'{HEAD}{before}\nwith DAG("{id_}", **COMMON):\n    {body}\n'


def wait(on: str, task: str = "a") -> str:
    return f'ExternalTaskSensor(task_id="w", external_dag_id="{on}", external_task_id="{task}", timeout=60)'


FILE_SENSOR = 'FileSensor(task_id="f", filepath="/x")'


@dataclass
class Run:
    """Holds how the checker is called in a project, and the rules of severity warning and above that it finds."""

    cwd: str = "."
    path: str = "dags"
    rules: set[str] = field(default_factory=set)
    environment: dict[str, str] = field(default_factory=dict)


GENERATED_CFG = """[core]
might_contain_dag_callable = airflow.utils.file.might_contain_dag_via_default_heuristic
dag_discovery_safe_mode = True
dag_ignore_file_syntax = glob

[dag_processor]
dag_bundle_config_list = [
    {
      "name": "dags-folder",
      "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
      "kwargs": {}
    }
    ]
"""
PROJECTS: dict[str, tuple[dict[str, str | dict[str, str]], list[Run]]] = {
    "modules_beside": (
        {"dags/shop.py": dag("shop", before="from include.settings import NAME\nfrom shop_plugin import X\n"), "include/__init__.py": "",
         "include/settings.py": "NAME = 'x'\n", "plugins/shop_plugin.py": "X = 1\n", "tests/dags/test_dag.py": BROKEN, "pyproject.toml": ""},
        [Run(), Run(path="."), Run(cwd="dags", path="."), Run(cwd="/", path="{project}/dags/shop.py")]),
    "ignored_by_glob": (
        {"dags/.airflowignore": "# comment\nold/\n*_draft.py\n!keep_draft.py\n/top.py\n", "dags/old/x.py": BROKEN, "dags/a_draft.py": BROKEN,
         "dags/keep_draft.py": dag("keep"), "dags/top.py": BROKEN, "dags/sub/.airflowignore": "wip_*\n", "dags/sub/wip_1.py": BROKEN,
         "dags/sub/ok.py": dag("ok")},
        [Run(), Run(path="dags/sub"), Run(cwd="dags/sub", path=".")]),
    "what_is_ignored_is_missing": (
        {"dags/.airflowignore": "old.py\n", "dags/old.py": dag("old"), "dags/new.py": dag("new", wait("old"))}, [Run(rules={"AA204"})]),
    "another_team": (
        {"team_a/dags/a.py": dag("a", wait("b")), "team_b/dags/b.py": dag("b"), "pyproject.toml": ""}, [Run(path="team_a/dags"), Run(path=".")]),
    "two_stages": (
        {"staging/dags/a.py": dag("same"), "prod/dags/a.py": dag("same"), "pyproject.toml": ""}, [Run(path=".")]),
    "one_file_of_two": ({"dags/a.py": dag("a", wait("b")), "dags/b.py": dag("b")}, [Run(path="dags/a.py")]),
    "excluded": (
        {"dags/a.py": dag("a", wait("b")), "dags/b.py": dag("b"), "pyproject.toml": '[tool.dag-integrity]\nexclude = ["dags/b.py"]\n'}, [Run()]),
    "broken_in_a_zip": (
        {"dags/a.py": dag("a", wait("z", "nope")), "dags/z.zip": {"z.py": dag("z"), "broken.py": "from airflow.sdk import DAG\nimport not_there_at_all\n"}},
        [Run(rules={"AA101", "AA205"})]),
    "modules_in_a_zip": (
        {"dags/z.zip": {"z.py": dag("z", before="from zhelper.names import NAME\n"), "zhelper/__init__.py": "", "zhelper/names.py": "NAME='x'\n"}}, [Run()]),
    "configured_in_the_shell": (
        {"dags/a.py": dag("a", FILE_SENSOR, WITHOUT)},
        [Run(environment={"AIRFLOW__SENSORS__DEFAULT_TIMEOUT": "600", "AIRFLOW__CORE__DEFAULT_TASK_RETRIES": "2"}), Run(rules={"AA301", "AA303"})]),
    "configured_in_airflow_cfg": (
        {"airflow.cfg": CFG, "dags/.airflowignore": ".*_old\\.py$\n", "dags/x_old.py": BROKEN, "dags/a.py": dag("a", FILE_SENSOR, WITHOUT)},
        [Run(), Run(cwd="/", path="{project}/dags", environment={"AIRFLOW_CONFIG": "{project}/airflow.cfg"}),
         Run(rules={"AA301"}, environment={"AIRFLOW__SENSORS__DEFAULT_TIMEOUT": "9000000"})]),
    "relative_import": (
        {"dags/pkg/__init__.py": "", "dags/pkg/helper.py": "X = 1\n", "dags/pkg/a.py": dag("a", before="from .helper import X\n"),
         "dags/b.py": dag("b", before="from pkg.helper import X\n")}, [Run(rules={"AA101"})]),
    "home_and_folder": ({"dags/a.py": dag("a", before=HOME), "sql/x.sql": "x"}, [Run(), Run(cwd="dags", path=".")]),
    "named_like_a_package": (
        {"dags/slack.py": dag("slack_dag", before="from jinja2 import Template\n"), "dags/jinja2.py": dag("jinja_dag", before="import jinja2\nassert jinja2.Template\n")},
        [Run()]),
    "several_bundles": (
        {"dags/a.py": dag("a", wait("elsewhere")), "deploy.env": TWO_BUNDLES, "pyproject.toml": '[tool.dag-integrity]\nenv-file = "deploy.env"\n'}, [Run()]),
    "safe_mode": (
        {"dags/util.py": "raise RuntimeError('no DAG file: safe mode leaves it out')\n", "dags/a.py": dag("a")},
        [Run(), Run(rules={"AA101"}, environment={"AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE": "False"}),
         Run(rules={"AA101"}, environment={"AIRFLOW__CORE__MIGHT_CONTAIN_DAG_CALLABLE": "own.heuristic"})]),
    "airflow_cfg_as_generated": (
        {"airflow.cfg": GENERATED_CFG, "dags/util.py": "raise RuntimeError('no DAG file: safe mode leaves it out')\n", "dags/a.py": dag("a")},
        [Run()]),
}  # fmt: skip


@pytest.mark.parametrize("name", PROJECTS)
def test_the_project_gets_its_verdict(name, tmp_path):
    texts, runs = PROJECTS[name]
    for path, text in texts.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, str):
            target.write_text(text)
            continue
        with zipfile.ZipFile(target, "w") as archive:
            for member, content in text.items():
                archive.writestr(member, content)
    for run in runs:
        environment = {key: value.replace("{project}", str(tmp_path)) for key, value in run.environment.items()}
        path = run.path.replace("{project}", str(tmp_path))
        findings, code, errors = check(path, cwd=Path(tmp_path, run.cwd), **environment)
        assert {finding["rule"] for finding in findings if finding["severity"] != "info"} == run.rules, (
            run,
            findings,
            errors,
        )
        assert code == bool(run.rules), (run, errors)
