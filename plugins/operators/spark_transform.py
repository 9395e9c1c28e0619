"""Runs the Spark job of questions 1, 3 and 7, which transforms what was landed into the tables of the warehouse."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

from include.flights.spark import EXECUTOR
from plugins import spark_start

PROJECT = Path(__file__).resolve().parents[2]
DAY = "{{ data_interval_start | ds }}"


def start_from_archive(context: Any) -> None:
    """Let the job's JVM start from the class archive of this machine, where there is one: a SparkSubmitOperator's `pre_execute`.

    It goes by the environment of this process, the task's own: the operator's `env_vars` are refused by clusters that start
    the driver themselves, and `conf` is what people read in the UI.
    """
    task = context["task"]
    start = spark_start.prepare_start(task.conf)
    os.environ |= start.variables
    task.properties_file = task.properties_file or start.properties_file


def spark_transform(landed: Any, conf: dict[str, str], name: str = DAY) -> SparkSubmitOperator:
    """Make the task `transform`, which submits include/flights/transform.py.

    A function and no subclass: Airflow's UI and the metrics know the task as the SparkSubmitOperator that it is.

    :param landed: what `include.flights.feed.land_interval` returned, as an XCom; only its folder is used
    :param conf: Spark's properties (include/flights/spark.py)
    :param name: of the job in Spark's UI, after the DAG's id (templated)
    """
    return SparkSubmitOperator(
        task_id="transform",
        application=str(PROJECT / "include/flights/transform.py"),
        application_args=[landed["folder"]],
        name=f"{{{{ dag.dag_id }}}} {name}",
        conf=conf,
        pre_execute=start_from_archive,
        durable=False,  # the default finds a cleared task's old job and turns green without running
        executor=EXECUTOR,  # on Kubernetes a pod of its own, beside Celery's workers
        pool="spark",
        queue="spark",
    )
