"""Loaded by Airflow at start-up. Imports heavy provider modules once in the processes that fork tasks and parsers.

Tasks fork from the executor's process (LocalExecutor: the scheduler; Celery: the worker), DAG files are parsed in forks
of the DAG processor. Importing SparkSubmitOperator costs seconds of CPU (its hook imports the Kubernetes client), paid
by every task of such a file; imported here it is paid once. Modules only: an engine with threads (chDB, Kafka clients)
would be broken in the forks.
"""

import os

if os.environ.get("ANSWERS_PRELOAD") == "1":
    import airflow.providers.apache.spark.operators.spark_submit
    import airflow.providers.clickhousedb.hooks.clickhouse
    import airflow.providers.standard.operators.bash  # noqa: F401
    import pendulum  # noqa: F401
