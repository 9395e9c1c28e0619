"""DAGs of three shapes whose tasks do nothing but say when they ran: 40 in a row, 50 DAGs of 4, one that fans out to 100 and in.

Like question 1's file it imports SparkSubmitOperator, since such a file is what the measurement is about. BENCH_SCALE
scales the numbers, BENCH_TIMES names the file that the tasks write to.
"""

import os
import time

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator  # noqa: F401
from airflow.sdk import DAG, chain, task

SCALE = float(os.environ.get("BENCH_SCALE", 1))


@task(retries=0)
def stamp(shape: str) -> None:
    """Append shape and time to the file; one write of a short line is atomic."""
    with open(os.environ["BENCH_TIMES"], "a") as file:
        file.write(f"{shape} {time.time()}\n")


with DAG("sequential", schedule=None):
    chain(*(stamp.override(task_id=f"t{n}")("sequential") for n in range(max(2, round(40 * SCALE)))))

for number in range(max(1, round(50 * SCALE))):
    with DAG(f"parallel_{number}", schedule=None):
        for n in range(4):
            stamp.override(task_id=f"t{n}")("parallel")

with DAG("fan", schedule=None):
    first, last = (stamp.override(task_id=name)("fan") for name in ("first", "last"))
    first >> [stamp.override(task_id=f"t{n}")("fan") for n in range(max(1, round(100 * SCALE)))] >> last
