"""Imports heavy modules once where tasks are forked, sizes tasks' pods, guards queues. Airflow loads it at start-up.

Tasks fork from the executor's process (LocalExecutor: the scheduler; Celery: the worker), DAG files are parsed in forks
of the DAG processor. What a DAG file and its hooks import is paid by every task of such a file; imported here it is paid
once. `python -m bench fork` measures it; with the Kubernetes provider installed, which SparkSubmitOperator's hook then
imports, it is 0.6 s of CPU more. Modules only: an engine with threads (chDB, Kafka clients) would be broken in the forks.
(Arrow's one thread is its allocator's, which starts it anew in a fork.)
"""

import os
from importlib import import_module
from typing import Any

from answers.stack.pods import give_resources, refuse_rights

MODULES = (
    "airflow.providers.apache.spark.operators.spark_submit",
    "airflow.providers.clickhousedb.hooks.clickhouse",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.bash",
    "airflow.sdk.bases.sensor",
    "airflow.sdk.definitions.asset.metadata",
    "airflow.sdk.definitions.decorators",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.sensors.external_task",
    "airflow.sdk.definitions.timetables.interval",
    "airflow.triggers.base",
    "clickhouse_connect",
    "httpx",
    "jinja2.ext",
    "pendulum",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.parquet",
    "yaml",
)


def pod_mutation_hook(pod: Any) -> None:
    """Change a pod before it is made: KubernetesExecutor calls this with each one."""
    refuse_rights(pod)
    give_resources(pod, os.environ)


def task_policy(task: Any) -> None:
    """Change a task: Airflow calls this with each one of a DAG that it reads from a file.

    :raises AirflowClusterPolicyViolation: the task says that it belongs into a queue whose worker is another DAG's
    """
    from airflow.exceptions import AirflowClusterPolicyViolation

    from plugins.task_access import rules

    if not rules().may_use_queue(task.dag_id, task.queue):
        raise AirflowClusterPolicyViolation(
            f"{task.dag_id}.{task.task_id} may not use the queue {task.queue}: config/task_access.yaml does not name the DAG"
        )


if os.environ.get("ANSWERS_PRELOAD") == "1":
    for name in (*MODULES, *os.environ.get("ANSWERS_PRELOAD_ALSO", "").split()):
        import_module(name)
    import_module("plugins.secrets_backend").preload()
    # Else each task executes every file of the plugins folder once more, looking for listeners.
    import_module("airflow.sdk.listener").get_listener_manager()
