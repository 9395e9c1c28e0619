"""Checks files as people write them, for each kind of mistake: what has to be found in them and what must not be."""
# ruff: noqa: E501 - a table of small programs, which is why the file is long

from pathlib import Path
from textwrap import dedent, indent

import pytest

from projects import can_be_imported, check

pytestmark = pytest.mark.claim("9.3")
HEAD = """from datetime import datetime, timedelta, date
import pendulum
from airflow.sdk import DAG, Asset, TaskGroup, dag, task, chain
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.providers.standard.sensors.python import PythonSensor
ARGS = {"owner": "ops", "retries": 2}
COMMON = dict(start_date=pendulum.datetime(2025, 3, 1, tz="UTC"), catchup=False, tags=["x"], description="x", default_args=ARGS)
"""
FILES: dict[str, tuple[list[str], list[str], str]] = {}
"""Name: rules (or their beginnings) that are found in the file, rules that are not, its text."""


def add(name, must, absent, text, head=True):
    FILES[name] = (must.split(), absent.split(), (HEAD if head else "") + dedent(text))


def one(name, must, absent, body, args='schedule="@daily"', before=""):
    add(
        name,
        must,
        absent,
        dedent(before)
        + f'\nwith DAG("{name}", {args}, **COMMON) as dag:\n'
        + indent(dedent(body).strip(), "    ")
        + "\n",
    )


# --- names of Airflow 2
one(
    "i_models",
    "",
    "AA601 AA603",
    'EmptyOperator(task_id="e")',
    before="""
from airflow.models import Variable, BaseOperator, DAG as D2, Connection
from airflow.models.baseoperator import chain as ch, cross_downstream
from airflow.utils.task_group import TaskGroup as TG
from airflow.utils.trigger_rule import TriggerRule
from airflow.hooks.base import BaseHook
from airflow.decorators import task as tt, dag as dd, task_group
from airflow.sensors.base import BaseSensorOperator
from airflow.sensors.python import PythonSensor as PS
from airflow.operators.bash import BashOperator as BO
from airflow.utils.edgemodifier import Label
from airflow.io.path import ObjectStoragePath
""",
)
one("i_removed", "AA101", "", 'EmptyOperator(task_id="e")', before="from airflow.utils.dates import days_ago")
one("i_subdag", "AA101", "", 'EmptyOperator(task_id="e")', before="from airflow.operators.subdag import SubDagOperator")
one(
    "i_own_factory",
    "",
    "AA601 AA602",
    'EmptyOperator(task_id="e")',
    before="""
def make(name, schedule_interval="@daily", concurrency=4, default_view="graph", provide_context=True, timetable=None):
    return (name, schedule_interval, concurrency)
SPEC = make("a", schedule_interval="@weekly", concurrency=2, default_view="grid", provide_context=False, timetable=1)
class Config:
    concurrency = 4
    execution_date = "2025-01-01"
    def __init__(self, schedule_interval, sla):
        self.schedule_interval, self.sla = schedule_interval, sla
c = Config(schedule_interval="@daily", sla=3)
print(c.execution_date, c.concurrency, c.schedule_interval)
""",
)
one("i_interval_arg", "AA101", "", 'EmptyOperator(task_id="e")', args='schedule_interval="@daily"')
one(
    "i_own_operator_sla",
    "",
    "AA601 AA602",
    'ReportOperator(task_id="r", sla="gold")',
    before="""
from airflow.sdk import BaseOperator
class ReportOperator(BaseOperator):
    def __init__(self, *, sla, **kwargs):
        super().__init__(**kwargs)
        self.sla = sla
    def execute(self, context):
        return self.sla
""",
)
one(
    "i_context_params",
    "",
    "AA601",
    'PythonOperator(task_id="p", python_callable=work, params={"execution_date": "x", "next_ds": "y"})',
    before="""
def work(**context):
    wanted = context["params"]["execution_date"]
    other = context["params"].get("next_ds")
    conf = context["dag_run"].conf.get("execution_date")
    row = {"execution_date": wanted, "prev_ds": 1}
    return row["execution_date"], row.get("prev_ds"), conf, other
""",
)
one(
    "i_ctx_removed",
    "AA605",
    "",
    'PythonOperator(task_id="p", python_callable=work)',
    before="""
def work(**context):
    return context["prev_execution_date"]
""",
)
one(
    "i_ctx_removed_method",
    "AA605",
    "",
    'MyOp(task_id="p")',
    before="""
from airflow.sdk import BaseOperator
class MyOp(BaseOperator):
    def execute(self, context):
        return context["tomorrow_ds"]
""",
)
one(
    "i_trigger_execdate",
    "AA101",
    "",
    'TriggerDagRunOperator(task_id="t", trigger_dag_id="i_models", execution_date="{{ ds }}")',
)
add(
    "i_both",
    "",
    "AA101 AA601 AA603",
    """
try:
    from airflow.sdk import task as t2
    AF3 = True
except ImportError:
    from airflow.decorators import task as t2
    AF3 = False
extra = {"schedule": "@daily"} if AF3 else {"schedule_interval": "@daily"}
from packaging.version import parse
import airflow as af
if parse(af.__version__) < parse("3.0.0"):
    from airflow.operators.dummy import DummyOperator as E
    from airflow.utils.dates import days_ago
else:
    from airflow.providers.standard.operators.empty import EmptyOperator as E
with DAG("i_both", **extra, **COMMON):
    E(task_id="x")
""",
)
# --- effective values
one(
    "e_tasksensor_no",
    "AA301",
    "",
    "ready()",
    before="""
@task.sensor(poke_interval=30, mode="reschedule")
def ready():
    return True
""",
)
one(
    "e_tasksensor_yes",
    "",
    "AA301",
    'ready()\nother.override(task_id="o", timeout=60)()',
    before="""
@task.sensor(timeout=timedelta(hours=1), mode="reschedule")
def ready():
    return True
@task.sensor
def other():
    return True
""",
)
add(
    "e_exec_default",
    "",
    "AA301",
    """
with DAG("e_exec_default", schedule="@daily", **{**COMMON, "default_args": {**ARGS, "execution_timeout": timedelta(hours=2)}}):
    FileSensor(task_id="a", filepath="/x")
    PythonSensor(task_id="b", python_callable=lambda: True)
    FileSensor.partial(task_id="c").expand(filepath=["/a"])
""",
)
one(
    "e_group_timeout",
    "",
    "AA301",
    """
with TaskGroup("g", default_args={"timeout": 600}):
    FileSensor(task_id="a", filepath="/x")
""",
)
one(
    "e_deferrable_partial",
    "AA206",
    "",
    'ExternalTaskSensor.partial(task_id="w", external_dag_id="i_models", timeout=60, deferrable=True).expand(external_task_ids=[["a", "b"], ["e", "d"]])',
)
one(
    "e_mapped_ids_one",
    "",
    "AA206",
    'ExternalTaskSensor.partial(task_id="w", external_dag_id="e_group_timeout", timeout=60, deferrable=True).expand(external_task_id=["g.a"])',
)
add(
    "e_retries_own",
    "",
    "AA303",
    """
with DAG("e_retries_own", schedule="@daily", **{**COMMON, "default_args": {"owner": "ops"}}):
    with TaskGroup("g", default_args={"retries": 3}):
        BashOperator(task_id="a", bash_command="true")
    BashOperator.partial(task_id="b", retries=1).expand(bash_command=["x", "y"])
    @task(retries=2)
    def f():
        pass
    f()
""",
)
one(
    "e_conn_none",
    "",
    "AA307",
    """
S3KeySensor(task_id="s", bucket_key="s3://b/k", aws_conn_id=None, timeout=60)
S3KeySensor(task_id="s2", bucket_key="s3://b/k", aws_conn_id="", timeout=60)
S3KeySensor(task_id="s3", bucket_key="s3://b/k", aws_conn_id="{{ params.c }}", timeout=60)
KubernetesPodOperator(task_id="k", image="x", cmds=["true"])
""",
    before="""
from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
""",
)
one(
    "e_conn_typo",
    "AA307",
    "",
    'HttpOperator(task_id="h", http_conn_id="htpp_api", endpoint="x")',
    before="from airflow.providers.http.operators.http import HttpOperator",
)
one(
    "e_conn_given",
    "",
    "AA307",
    'HttpOperator(task_id="h", http_conn_id="given", endpoint="x")',
    before="from airflow.providers.http.operators.http import HttpOperator",
)
one(
    "e_conn_mapped_typo",
    "AA307",
    "",
    'HttpOperator.partial(task_id="h", endpoint="x").expand(http_conn_id=["warehouse", "wharehouse"])',
    before="from airflow.providers.http.operators.http import HttpOperator",
)
one(
    "e_conn_default_args",
    "AA307",
    "",
    'HttpOperator(task_id="h", endpoint="x")',
    before="from airflow.providers.http.operators.http import HttpOperator\nARGS['http_conn_id'] = 'nowhere'\n",
)
# --- clock
one(
    "c_helper_module",
    "AA408",
    "",
    'BashOperator(task_id="a", bash_command=f"load {stamp()}")',
    before="from clock_helper import stamp",
)
one("c_weekday_task", "AA408", "", 'for i in range(datetime.now().day % 28 + 1):\n    EmptyOperator(task_id=f"t{i}")')
one("c_tags", "AA408", "", 'EmptyOperator(task_id="t", params={"n": int(t.time())})', before="import time as t")
one(
    "c_end_date",
    "AA408",
    "",
    'EmptyOperator(task_id="t")',
    args='schedule="@daily", end_date=datetime.now() + timedelta(days=30)',
)
one(
    "c_year_list",
    "AA408",
    "",
    'for y in YEARS:\n    EmptyOperator(task_id=f"y{y}")',
    before="YEARS = list(range(2020, date.today().year + 1))",
)
one(
    "c_pendulum",
    "AA408",
    "",
    'EmptyOperator(task_id="t", start_date=pendulum.now("UTC").start_of("day").subtract(days=1))',
)
one(
    "c_none_log",
    "",
    "AA408 AA407",
    'EmptyOperator(task_id="t")',
    before='import logging\nlogging.getLogger(__name__).info("parsed at %s", datetime.now())\n',
)
one(
    "c_none_macro",
    "",
    "AA408 AA407",
    'BashOperator(task_id="t", bash_command="{{ today() }}")',
    args='schedule="@daily", user_defined_macros={"today": date.today}',
)
one("c_none_lambda", "", "AA408 AA407", 'PythonOperator(task_id="t", python_callable=lambda: datetime.now())')
one("c_none_ge", "", "AA408 AA407", 'if datetime.now().year >= 2020:\n    EmptyOperator(task_id="t")')
one(
    "c_none_default",
    "",
    "AA408 AA407",
    'PythonOperator(task_id="t", python_callable=f)',
    before="def f(day=None):\n    day = day or date.today()\n    return day\n",
)
one(
    "c_none_sensor",
    "",
    "AA408 AA407",
    'PythonSensor(task_id="t", python_callable=lambda: datetime.now().hour > 6, timeout=60)',
)
# --- templates
one(
    "t_macro_ok",
    "",
    "AA605 AA505",
    'BashOperator(task_id="a", bash_command="{{ macros.ds_add(ds, -1) }} {{ prev_start_date_success }} {{ data_interval_end }} {{ ti.xcom_pull(task_ids=\'next_ds\') }}")',
)
one(
    "t_opkwargs",
    "AA605",
    "",
    'PythonOperator(task_id="p", python_callable=print, op_kwargs={"day": "{{ tomorrow_ds_nodash }}"})',
)
one("t_nested", "AA605", "", 'BashOperator(task_id="p", bash_command="x", env={"A": "{{ ti.execution_date }}"})')
one("t_in_file", "AA605", "", 'BashOperator(task_id="p", bash_command="old.sh")')
one("t_in_included", "AA605", "", 'BashOperator(task_id="p", bash_command="outer.sh")')
one(
    "t_email",
    "AA605",
    "",
    'EmailOperator(task_id="m", to="a@b.c", subject="{{ execution_date }}", html_content="x")',
    before="from airflow.providers.smtp.operators.smtp import EmailOperator",
)
one("t_raw", "", "AA605", 'BashOperator(task_id="a", bash_command="{% raw %}{{ execution_date }}{% endraw %}")')
one("t_comment", "", "AA605 AA505", 'BashOperator(task_id="a", bash_command="{# {{ execution_date }} #}echo")')
one(
    "t_string",
    "",
    "AA605",
    "BashOperator(task_id='a', bash_command=\"{{ 'next_ds' }} {{ var.value.execution_date }} {{ ti.xcom_pull(key='prev_ds') }}\")",
)
one("t_absenttemplated", "", "AA605", 'BashOperator(task_id="a", bash_command="x", doc_md="uses {{ execution_date }}")')
one(
    "t_asset_ds",
    "AA505",
    "",
    'PythonOperator(task_id="p", python_callable=print, op_args=["{{ ds_nodash }}"])',
    args='schedule=Asset("a") | Asset("b")',
)
one(
    "t_asset_fn",
    "AA505",
    "",
    'PythonOperator(task_id="p", python_callable=f)',
    args='schedule=Asset("a")',
    before="def f(ds, ti):\n    print(ds)\n",
)
one(
    "t_asset_ctx",
    "AA505",
    "",
    'PythonOperator(task_id="p", python_callable=f)',
    args='schedule=Asset("a")',
    before="def f(**context):\n    print(context['logical_date'])\n",
)
one(
    "t_asset_fn_none",
    "",
    "AA505",
    "g()",
    args='schedule=Asset("a")',
    before="@task\ndef g(ds=None, **context):\n    print(ds or context.get('logical_date'))\n",
)
one(
    "t_asset_mapped",
    "AA505",
    "",
    'BashOperator.partial(task_id="p").expand(bash_command=["{{ ds }}"])',
    args='schedule=[Asset("a"), Asset("b")]',
)
one(
    "t_asset_ok",
    "",
    "AA505",
    'BashOperator(task_id="p", bash_command="{{ run_id }} {{ triggering_asset_events }} {{ dag_run.run_after }} {{ logical_date or \'x\' if logical_date is defined else 1 }}")',
    args='schedule=Asset("a")',
)
one(
    "t_asset_dagrun",
    "",
    "AA505",
    'BashOperator(task_id="p", bash_command="{{ dag_run.logical_date }} {{ params.ds }}")',
    args='schedule=Asset("a"), params={"ds": "x"}',
)
# --- template files
one(
    "f_sql",
    "AA310",
    "",
    'SQLExecuteQueryOperator(task_id="q", conn_id="warehouse", sql="sql/none.sql")',
    before="from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator",
)
one(
    "f_sql_list",
    "AA310",
    "",
    'SQLExecuteQueryOperator(task_id="q", conn_id="warehouse", sql=["SELECT 1", "sql/none.sql"])',
    before="from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator",
)
one(
    "f_sql_ok",
    "",
    "AA310",
    'SQLExecuteQueryOperator(task_id="q", conn_id="warehouse", sql="good.sql")\nSQLExecuteQueryOperator(task_id="r", conn_id="warehouse", sql="SELECT 1")',
    args='schedule="@daily", template_searchpath=[os.path.join(os.path.dirname(__file__), "sql")]',
    before="import os\nfrom airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator",
)
one("f_mapped", "AA310", "", 'BashOperator.partial(task_id="q").expand(bash_command=["good.sh", "nowhere.sh"])')
one(
    "f_exts",
    "AA310",
    "",
    'PythonOperator(task_id="p", python_callable=print, templates_dict={"q": "nowhere.sql"}, templates_exts=[".sql"])',
)
one(
    "f_no_ext",
    "",
    "AA310",
    'PythonOperator(task_id="p", python_callable=print, templates_dict={"q": "nowhere.sql"})\nBashOperator(task_id="b", bash_command="cat x.txt")',
)
one(
    "f_template_name",
    "AA310",
    "",
    'BashOperator(task_id="b", bash_command="{{ params.script }}.sh")',
    args='schedule="@daily", params={"script": "good"}',
)
# --- lost
add(
    "l_class",
    "AA107",
    "",
    """
class Pipelines:
    nightly = DAG("l_class", schedule=None, **COMMON)
""",
)
add(
    "l_del",
    "AA107",
    "",
    """
d = DAG("l_del", schedule=None, **COMMON)
EmptyOperator(task_id="x", dag=d)
del d
""",
)
add(
    "l_tuple",
    "AA107",
    "",
    """
def both():
    return DAG("l_tuple1", schedule=None, **COMMON), DAG("l_tuple2", schedule=None, **COMMON)
pair = both()
""",
)
add(
    "l_main",
    "AA107",
    "",
    """
@dag(schedule=None, **COMMON)
def l_main():
    EmptyOperator(task_id="x")
if __name__ == "__main__":
    l_main().test()
""",
)
add(
    "l_main2",
    "AA107",
    "",
    """
def build():
    with DAG("l_main2", schedule=None, **COMMON) as d:
        EmptyOperator(task_id="x")
    return d
if __name__ == "__main__":
    build()
""",
)
add(
    "l_ok",
    "",
    "AA107",
    """
def build(n):
    d = DAG(f"l_ok_{n}", schedule=None, **COMMON)
    EmptyOperator(task_id="x", dag=d)
    return d
a, b = build(1), build(2)
for i in range(3, 5):
    globals()[f"dag_{i}"] = build(i)
@dag(schedule=None, **COMMON)
def l_ok_dec():
    EmptyOperator(task_id="x")
l_ok_dec()
if __name__ == "__main__":
    a.test()
""",
)
add(
    "l_ok_setattr",
    "",
    "AA107",
    """
import sys
for n in "xy":
    d = DAG(f"l_set_{n}", schedule=None, **COMMON)
    setattr(sys.modules[__name__], f"dag_{n}", d)
    vars()[f"dag2_{n}"] = d
""",
)
# --- groups
one(
    "g_nested",
    "AA208",
    "",
    """
with TaskGroup("outer"):
    with TaskGroup("a"):
        a1 = EmptyOperator(task_id="1"); a2 = EmptyOperator(task_id="2")
    with TaskGroup("b"):
        b1 = EmptyOperator(task_id="1"); b2 = EmptyOperator(task_id="2")
    a1 >> b1
    b2 >> a2
""",
)
one(
    "g_three",
    "AA208",
    "",
    """
gs = {}
for n in "abc":
    with TaskGroup(n):
        gs[n] = [EmptyOperator(task_id="s"), EmptyOperator(task_id="e")]
gs["a"][0] >> gs["b"][1]; gs["b"][0] >> gs["c"][1]; gs["c"][0] >> gs["a"][1]
""",
)
one(
    "g_ok",
    "",
    "AA208",
    """
with TaskGroup("a") as a:
    x = EmptyOperator(task_id="1"); y = EmptyOperator(task_id="2")
    x >> y
with TaskGroup("b") as b:
    z = EmptyOperator(task_id="1"); w = EmptyOperator(task_id="2")
x >> z; y >> w; a >> b
""",
)
# --- relative
one(
    "r_exists",
    "AA409",
    "",
    'EmptyOperator(task_id="x")',
    before='import os\nCONF = {} if os.path.exists("config/settings.yml") else None\n',
)
one(
    "r_pathexists",
    "AA409",
    "",
    'EmptyOperator(task_id="x")',
    before='from pathlib import Path\nif Path("settings.yml").is_file():\n    print(1)\n',
)
one("r_glob", "AA409", "", 'EmptyOperator(task_id="x")', before='import glob\nFILES = sorted(glob.glob("sql/*.sql"))\n')
one(
    "r_pathglob",
    "AA409",
    "",
    'EmptyOperator(task_id="x")',
    before='from pathlib import Path\nFILES = sorted(Path("sql").glob("*.sql"))\n',
)
one(
    "r_yaml",
    "AA409",
    "",
    'EmptyOperator(task_id="x")',
    before='import yaml\ntry:\n    yaml.safe_load(open("conf.yml"))\nexcept OSError:\n    pass\n',
)
one("r_helper", "AA409", "", 'EmptyOperator(task_id="x")', before="from rel_helper import load\nload()\n")
one(
    "r_ok",
    "",
    "AA409",
    'EmptyOperator(task_id="x")',
    before="""
import os, glob
from pathlib import Path
HERE = Path(__file__).resolve().parent
SQL = [p.name for p in (HERE / "sql").glob("*.sql")]
X = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sql", "good.sql")
open(X).close()
os.path.exists(os.path.join(os.environ.get("AIRFLOW_HOME", "/opt/airflow"), "x"))
glob.glob(str(HERE / "*.sql"))
os.listdir(os.path.dirname(__file__))
from airflow.configuration import conf
os.listdir(conf.get("core", "dags_folder"))
os.environ.copy(); dict(os.environ); os.getenv("PATH")
""",
)
# --- sensors


def pair(name, must, absent, down, up, extra=""):
    add(
        name,
        must,
        absent,
        f'''
with DAG("{name}_up", schedule={up}, **COMMON):
    EmptyOperator(task_id="done")
with DAG("{name}", schedule={down}, **COMMON):
    ExternalTaskSensor(task_id="w", external_dag_id="{name}_up", external_task_id="done", timeout=60{extra})
''',
    )


pair("s_asset_down", "AA209", "", 'Asset("q")', '"@daily"')
pair("s_weekly", "AA209", "", '"0 6 * * 1-5"', '"0 6 * * 0,6"')
pair("s_monthly", "AA209", "", '"0 0 2 * *"', '"@monthly"')
pair("s_delta_ok", "", "AA209", '"0 6 * * *"', '"0 0 * * *"', ", execution_delta=timedelta(hours=6)")
add(
    "s_mapped2",
    "AA209",
    "",
    """
with DAG("s_mapped2_up", schedule="0 5 * * *", **COMMON):
    EmptyOperator(task_id="done")
with DAG("s_mapped2", schedule="0 6 * * *", **COMMON):
    ExternalTaskSensor.partial(task_id="w", external_task_id="done", timeout=60).expand(external_dag_id=["s_mapped2_up"])
""",
)
pair("s_quarter", "", "AA209", '"@daily"', '"*/15 * * * *"')
pair("s_list", "", "AA209", '"0 0 * * *"', 'MultipleCronTriggerTimetable("0 0 * * *", "0 12 * * *", timezone="UTC")')
FILES["s_list"] = (
    *FILES["s_list"][:2],
    "from airflow.timetables.trigger import MultipleCronTriggerTimetable\n" + FILES["s_list"][2],
)
pair("s_none", "", "AA209", '"@daily"', "None")
pair("s_continuous", "", "AA209", '"@daily"', '"@continuous", max_active_runs=1')
pair("s_once", "", "AA209", '"@daily"', '"@once"')
# --- cycles


def cyc(name, must, absent, text):
    add(name, must, absent, text.replace("NAME", name))


cyc(
    "y_mapped",
    "AA20",
    "",
    """
with DAG("NAME_a", schedule="@daily", **COMMON):
    ExternalTaskSensor.partial(task_id="w", timeout=60).expand(external_dag_id=["NAME_b"]) >> EmptyOperator(task_id="x")
with DAG("NAME_b", schedule="@daily", **COMMON):
    ExternalTaskSensor(task_id="w", external_dag_id="NAME_a", timeout=60) >> EmptyOperator(task_id="x")
""",
)
cyc(
    "y_mapped_task",
    "AA20",
    "",
    """
with DAG("NAME_a", schedule="@daily", **COMMON):
    ExternalTaskSensor.partial(task_id="w", timeout=60, external_dag_id="NAME_b").expand(external_task_id=["x", "y"]) >> EmptyOperator(task_id="x")
with DAG("NAME_b", schedule="@daily", **COMMON):
    ExternalTaskSensor(task_id="w", external_dag_id="NAME_a", external_task_id="x", timeout=60) >> [EmptyOperator(task_id="x"), EmptyOperator(task_id="y")]
""",
)
cyc(
    "y_delta",
    "AA202",
    "AA209",
    """
with DAG("NAME_a", schedule="0 2 * * *", **COMMON):
    ExternalTaskSensor(task_id="w", external_dag_id="NAME_b", execution_delta=timedelta(hours=1), timeout=60) >> EmptyOperator(task_id="x")
with DAG("NAME_b", schedule="0 1 * * *", **COMMON):
    ExternalTaskSensor(task_id="w", external_dag_id="NAME_a", execution_delta=timedelta(hours=-1), timeout=60) >> EmptyOperator(task_id="x")
""",
)
cyc(
    "y_delta_no",
    "",
    "AA202 AA203",
    """
with DAG("NAME_a", schedule="0 2 * * *", **COMMON):
    ExternalTaskSensor(task_id="w", external_dag_id="NAME_b", execution_delta=timedelta(hours=1), timeout=60) >> EmptyOperator(task_id="x")
with DAG("NAME_b", schedule="0 1 * * *", **COMMON):
    ExternalTaskSensor(task_id="w", external_dag_id="NAME_a", execution_delta=timedelta(hours=23), timeout=60) >> EmptyOperator(task_id="x")
""",
)
cyc(
    "y_asset_or",
    "AA202",
    "",
    """
with DAG("NAME_a", schedule=Asset("NAME_x") | Asset("NAME_out"), **COMMON):
    EmptyOperator(task_id="x", outlets=[Asset("NAME_y")])
with DAG("NAME_b", schedule=Asset("NAME_y"), **COMMON):
    EmptyOperator(task_id="x", outlets=[Asset("NAME_x")])
""",
)
cyc(
    "y_asset_and",
    "",
    "AA202 AA203",
    """
with DAG("NAME_a", schedule=Asset("NAME_x") & Asset("NAME_out"), **COMMON):
    EmptyOperator(task_id="x", outlets=[Asset("NAME_y")])
with DAG("NAME_b", schedule=Asset("NAME_y"), **COMMON):
    EmptyOperator(task_id="x", outlets=[Asset("NAME_x")])
""",
)
cyc(
    "y_asset_and2",
    "AA202",
    "",
    """
with DAG("NAME_c", schedule="@daily", **COMMON):
    EmptyOperator(task_id="x")
with DAG("NAME_a", schedule=(Asset("NAME_x") & Asset("NAME_z")), **COMMON):
    EmptyOperator(task_id="x", outlets=[Asset("NAME_y")])
with DAG("NAME_b", schedule=Asset("NAME_y"), **COMMON):
    EmptyOperator(task_id="x", outlets=[Asset("NAME_x"), Asset("NAME_z")])
""",
)
cyc(
    "y_group",
    "AA202",
    "",
    """
with DAG("NAME_a", schedule="@daily", **COMMON):
    w = ExternalTaskSensor(task_id="w", external_dag_id="NAME_b", external_task_group_id="load", timeout=60)
    w >> EmptyOperator(task_id="x")
with DAG("NAME_b", schedule="@daily", **COMMON):
    w = ExternalTaskSensor(task_id="w", external_dag_id="NAME_a", external_task_id="x", timeout=60)
    with TaskGroup("load") as g:
        EmptyOperator(task_id="x")
    w >> g
""",
)
cyc(
    "y_group_no",
    "",
    "AA202 AA203",
    """
with DAG("NAME_a", schedule="@daily", **COMMON):
    w = ExternalTaskSensor(task_id="w", external_dag_id="NAME_b", external_task_group_id="load", timeout=60)
    w >> EmptyOperator(task_id="x")
with DAG("NAME_b", schedule="@daily", **COMMON):
    w = ExternalTaskSensor(task_id="w", external_dag_id="NAME_a", external_task_id="x", timeout=60)
    with TaskGroup("load") as g:
        EmptyOperator(task_id="x")
    g >> w
""",
)
cyc(
    "y_softfail_no",
    "",
    "AA202",
    """
with DAG("NAME_a", schedule="@daily", **COMMON):
    ExternalTaskSensor(task_id="w", external_dag_id="NAME_b", allowed_states=["running", "success"], timeout=60) >> EmptyOperator(task_id="x")
with DAG("NAME_b", schedule="@daily", **COMMON):
    ExternalTaskSensor(task_id="w", external_dag_id="NAME_a", timeout=60) >> EmptyOperator(task_id="x")
""",
)
cyc(
    "y_all_done_no",
    "",
    "AA204",
    """
with DAG("NAME", schedule="@daily", **COMMON):
    TriggerDagRunOperator(task_id="t", trigger_dag_id="{{ dag_run.conf['x'] }}")
""",
)
# --- secrets
SECRETS = '''
import base64, os
from airflow.models import Connection
A = Connection(conn_id="x", conn_type="http", host="h", login="svc", password="Tr0ub4dor&3")
B = base64.b64decode("VHIwdWI0ZG9yJjM=").decode()
DB_PASSWORD = base64.b64decode("VHIwdWI0ZG9yJjM=").decode()
C = {"user": "svc", "passwd": "kf83-Ksl2!"}
D = "postgresql+psycopg2://svc:kf83Ksl2x@db.internal:5432/prod"
E = "host=db.internal user=svc password=kf83Ksl2x dbname=prod"
import requests
def call():
    return requests.get("https://api", auth=("svc", "kf83Ksl2x!9"))
def call2():
    return requests.get("https://api", headers={"Authorization": "Bearer 9f8e7d6c5b4a39281706f5e4d3c2b1a0"})
def smtp(server):
    server.login("svc", "kf83Ksl2x!9")
F = "export PGPASSWORD=kf83Ksl2x; psql -c 'select 1'"
G = "sshpass -p 'kf83Ksl2x!9' ssh host"
H1 = """
database:
  user: svc
  password: kf83Ksl2x!9
"""
I = bytes.fromhex("6b6638334b736c3278").decode()
api_token = bytes.fromhex("6b6638334b736c3278").decode()
J = os.environ.get("API_TOKEN", "kf83Ksl2x9aQ")
K = "".join(["kf83", "Ksl2x", "!9"])
client_secret = "".join(["kf83", "Ksl2x", "!9"])
from requests.auth import HTTPBasicAuth
def call3():
    return HTTPBasicAuth("svc", "kf83Ksl2x!9")
L = "redis-cli -a kf83Ksl2x!9 PING"
M = f"jdbc:mysql://db/prod?user=svc&password=kf83Ksl2x"
password: str = "kf83" "Ksl2x!9"
N = "-----BEGIN RSA PRIVATE KEY-----\\nMIIEow=="
class Cfg:
    secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzKEY9"
def connect(host, pwd="kf83Ksl2x!9"):
    pass
O = "snowsql -a acct -u svc --password=kf83Ksl2x!9"
'''
NO_SECRETS = '''
import os
from airflow.sdk import Variable, Connection
PASSWORD_FILE = "/run/secrets/db_password"
password_key = "warehouse_password"
SECRET_NAME = "prod/warehouse/password"
secret = "projects/123/secrets/warehouse/versions/latest"
password = os.environ.get("DB_PASSWORD", "")
password = os.environ.get("DB_PASSWORD")
token = "{{ conn.api.password }}"
api_key = "{{ var.value.api_key }}"
passwd = "<your password>"
password = "changeme"
pwd = "***"
token_url = "https://login.example.com/oauth2/token"
TOKEN_ENV = "API_TOKEN"
secret_id = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf"
conn = "postgresql://user:password@localhost/db"
conn2 = "postgresql://${DB_USER}:${DB_PASSWORD}@db/prod"
conn3 = f"postgresql://{os.getenv('U')}:{os.getenv('P')}@db/prod"
conn4 = "postgresql://{user}:{password}@db/prod"
primary_key = "order_id"
partition_key = "day"
key = "landing/2025/01/file.csv"
sort_key = "customer_id"
foreign_key = "order_id"
auth_type = "basic"
auth = ("user", os.environ.get("PW"))
password_policy = "at least twelve characters"
def f(password=None, token=""):
    """password: the password of the user."""
keyfile_path = "/opt/keys/service-account.json"
xcom_key = "return_value"
secret_backend = "airflow.providers.hashicorp.secrets.vault.VaultBackend"
cmd = "psql --password"
cmd2 = "curl -u $USER:$TOKEN https://x"
cmd3 = "PGPASSWORD=$DB_PASSWORD psql"
cmd4 = "echo password={{ conn.db.password }}"
sha = "3b18e512dba79e4c8300dd08aeb37f8e728b8dad"
labels = {"app.kubernetes.io/part-of": "tokenizer", "token_count": "many"}
tokens = ["alpha", "beta"]
tokenizer = "bert-base-uncased"
next_page_token = "nextPageToken"
params = {"password": "{{ params.password }}", "token": None, "secret": "vault:kv/data/prod#password"}
yaml_text = """
env:
  - name: DB_PASSWORD
    valueFrom:
      secretKeyRef:
        name: db-secret
        key: password
"""
hint = "Password: see the vault"
text = "token: the API token of the partner"
'''
add("x_yes", "", "", SECRETS + '\nwith DAG("x_yes", schedule=None, **COMMON):\n    EmptyOperator(task_id="x")\n')
add("x_no", "", "AA701", NO_SECRETS + '\nwith DAG("x_no", schedule=None, **COMMON):\n    EmptyOperator(task_id="x")\n')

SETTINGS = """[tool.dag-integrity]
known-connections = ["warehouse", "fs_default", "smtp_default"]
import-budget = 60
parse-budget = 60
"""
BESIDE = {
    "pyproject.toml": SETTINGS,
    "dags/sql/good.sql": "select 1",
    "dags/good.sh": "true",
    "dags/old.sh": "echo {{ execution_date }}",
    "dags/outer.sh": "{% include 'old.sh' %}",
    "plugins/clock_helper.py": "from datetime import datetime\ndef stamp():\n    return datetime.now().strftime('%Y%m%d')\n",
    "plugins/rel_helper.py": "def load():\n    try:\n        return open('settings.json').read()\n    except OSError:\n        return None\n",
}
HERE = {name: entry for name, entry in FILES.items() if can_be_imported(entry[2])}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return what one run finds: {name of the file: findings}."""
    folder = tmp_path_factory.mktemp("strangers")
    texts = {**BESIDE, **{f"dags/{name}.py": text for name, (_, _, text) in HERE.items()}}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    findings, _, errors = check(folder / "dags", AIRFLOW_CONN_GIVEN="http://x.example")
    result: dict[str, list[dict]] = {name: [] for name in HERE}
    for finding in findings:
        result[Path(finding["file"]).stem].append(finding)
    return result, errors


@pytest.mark.parametrize("name", HERE)
def test_each_file_gets_its_verdict(found, name):
    result, errors = found
    rules = {finding["rule"] for finding in result[name]}
    wanted, absent, _ = HERE[name]
    assert all(any(rule.startswith(each) for rule in rules) for each in wanted), (result[name], errors)
    assert not rules & set(absent), result[name]
    if not any("AA1".startswith(each[:3]) for each in wanted):
        assert not rules & {"AA101", "AA102", "AA103", "AA104"}, result[name]


def test_each_line_with_a_secret_is_found(found):
    result, _ = found
    lines = HERE["x_yes"][2].splitlines()
    told = {lines[finding["line"] - 1] for finding in result["x_yes"] if finding["rule"] == "AA701"}
    marks = ("Tr0ub4dor", "kf83", "VHIw", "6b6638", "PRIVATE KEY", "wJalr", "Bearer")
    nameless = ("B =", "I =", "K =")  # an encoded text that nothing calls a secret
    assert told == {line for line in lines if any(mark in line for mark in marks) and not line.startswith(nameless)}
