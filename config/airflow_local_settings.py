"""Loaded by Airflow at start-up. Imports heavy provider modules once in the processes that fork tasks and parsers.

Tasks fork from the executor's process (LocalExecutor: the scheduler; Celery: the worker), DAG files are parsed in forks
of the DAG processor. What a DAG file and its hooks import is paid by every task of such a file; imported here it is paid
once. `python -m bench fork` measures it; with the Kubernetes provider installed, which SparkSubmitOperator's hook then
imports, it is seconds a task. Modules only: an engine with threads (chDB, Kafka clients) would be broken in the forks.
"""

import os
from importlib import import_module

MODULES = (
    "airflow.providers.apache.spark.operators.spark_submit",
    "airflow.providers.clickhousedb.hooks.clickhouse",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.bash",
    "airflow.sdk.bases.sensor",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.sensors.external_task",
    "airflow.sdk.definitions.timetables.interval",
    "airflow.triggers.base",
    "clickhouse_connect",
    "httpx",
    "pendulum",
    "yaml",
)

if os.environ.get("ANSWERS_PRELOAD") == "1":
    for name in MODULES:
        import_module(name)
    import_module("plugins.secrets_backend").preload()
