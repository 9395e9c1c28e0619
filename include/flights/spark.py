"""Sets Spark for a job: a day's thousand rows or a part of them, or a chunk of millions (question 7)."""

import os

# The executor of the tasks that run Spark, one of those in [core] executor; None: the first of these. Airflow refuses a DAG
# that names one which the platform does not have, so the platform names it (deploy/kubernetes/settings.env).
EXECUTOR = os.environ.get("ANSWERS_SPARK_EXECUTOR") or None

SMALL_JOB = {
    "spark.ui.enabled": "false",
    "spark.log.level": "WARN",
    # One partition, and no plan that adapts to sizes.
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    # For a thousand rows Java code is not worth its compiling: a tenth of the CPU. (Spark's words for both of its compilers.)
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    # A job of seconds ends before optimised code and parallel collection pay: a third less CPU.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}

# Memory is left to the place: a driver beside Celery's tasks has less than one that is the whole of Spark.
LARGE_JOB = {
    "spark.ui.enabled": "false",
    "spark.log.level": "WARN",
    "spark.sql.shuffle.partitions": "4",
    # On two cores a collector with threads of its own costs a sixth more CPU, and time.
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
}
