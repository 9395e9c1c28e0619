"""Makes DAGs of three shapes whose tasks only say when they ran: 40 in a row, 50 DAGs of 4, one that fans out to 100 and in.

Like question 1's file it imports SparkSubmitOperator, since such a file is what the measurement is about. BENCH_SCALE
scales the numbers, BENCH_TIMES names the file that the tasks write to. The process of a task builds its own DAG and no other,
as in dags/q04_fleet.py: building all 342 tasks took it 0.2 s.
"""

import os
import time

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator  # noqa: F401
from airflow.sdk import DAG, chain, get_parsing_context, task

SCALE = float(os.environ.get("BENCH_SCALE", 1))


@task(retries=0)
def stamp(shape: str) -> None:
    """Append shape and time to the file; one write of a short line is atomic."""
    with open(os.environ["BENCH_TIMES"], "a") as file:
        file.write(f"{shape} {time.time()}\n")


DAGS = {
    "sequential": max(2, round(40 * SCALE)),
    **{f"parallel_{number}": 4 for number in range(max(1, round(50 * SCALE)))},
    "fan": max(1, round(100 * SCALE)),
}
only = get_parsing_context().dag_id  # None in the DAG processor

for dag_id, count in DAGS.items():
    if only in (None, dag_id):
        with DAG(dag_id, schedule=None):
            tasks = [stamp.override(task_id=f"t{n}")(dag_id.partition("_")[0]) for n in range(count)]
            if dag_id == "sequential":
                chain(*tasks)
            if dag_id == "fan":
                first, last = (stamp.override(task_id=name)("fan") for name in ("first", "last"))
                first >> tasks >> last
