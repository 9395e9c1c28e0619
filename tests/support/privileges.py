"""Tells which variables, and which secrets of .env, each service of the compose stack has: the list that tests hold it to."""

# What Airflow's parts and their tasks share. Not one of them is a secret.
COMMON = {
    "AIRFLOW__CORE__EXECUTOR",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
    "AIRFLOW__API__BASE_URL",
    "AIRFLOW__METRICS__STATSD_ON",
    "AIRFLOW__METRICS__STATSD_HOST",
    "AIRFLOW__METRICS__STATSD_PORT",
    "AIRFLOW__SCHEDULER__TI_METRICS_INTERVAL",
    "AIRFLOW_VAR_DATA_ROOT",
    "ANSWERS_KAFKA",
}
DATABASE = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__FERNET_KEY"}
TOKENS = {"AIRFLOW__API_AUTH__JWT_SECRET"}
CELERY = {
    "AIRFLOW__CELERY__BROKER_URL",
    "AIRFLOW__CELERY__RESULT_BACKEND",
    "AIRFLOW__CELERY__TASK_ACKS_LATE",
    "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG",
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT",
}
STORE = {
    "AIRFLOW__SECRETS__BACKEND",
    "AIRFLOW__SECRETS__BACKEND_KWARGS",
    "AIRFLOW__SECRETS__BACKEND_KWARG__ENDPOINT_URL",
    "AIRFLOW__SECRETS__BACKEND_KWARG__AWS_ACCESS_KEY_ID",
    "AIRFLOW__SECRETS__BACKEND_KWARG__AWS_SECRET_ACCESS_KEY",
}
PRELOAD, SPARK = {"ANSWERS_PRELOAD"}, {"_SPARK_AUTH_SECRET"}
WORKER = (
    COMMON
    | CELERY
    | STORE
    | PRELOAD
    | SPARK
    | {"AIRFLOW__CELERY__WORKER_CONCURRENCY", "AIRFLOW__CELERY__WORKER_AUTOSCALE"}
)
HANDS = {f"AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__UNACKED_{name}_KEY" for name in ("INDEX", "MUTEX")}
# Every variable of every service, whose value is a secret or not.
ENVIRONMENT = {
    "airflow-init": COMMON | DATABASE | {"ANSWERS_POOLS"},
    "airflow-api-server": COMMON
    | DATABASE
    | TOKENS
    | {
        "AIRFLOW__API__SECRET_KEY",
        "ADMIN_PASSWORD",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
    },
    "airflow-scheduler": COMMON
    | DATABASE
    | TOKENS
    | CELERY
    | {
        "AIRFLOW__CELERY__OPERATION_TIMEOUT",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL",
        "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES",
    },
    "airflow-dag-processor": COMMON | DATABASE | STORE | PRELOAD,
    "airflow-triggerer": COMMON | DATABASE | STORE,
    "airflow-worker": WORKER,
    "airflow-spark-worker": WORKER,
    "airflow-partner-worker": WORKER - {"AIRFLOW__CELERY__WORKER_CONCURRENCY", "AIRFLOW__CELERY__WORKER_AUTOSCALE"}
    | HANDS
    | {"AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__UNACKED_KEY"},
    "postgres": {"POSTGRES_USER", "POSTGRES_PASSWORD"},
    "redis": {"REDISCLI_AUTH"},
    "clickhouse": {"CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD"},
    "parameter-store": {
        "CLICKHOUSE_PASSWORD",
        "PARTNER_SECRET",
        "PSEUDONYM_SECRET",
        "PARAMETER_READ_SECRET",
        "PARAMETER_WORKER_SECRET",
        "PARAMETER_WRITE_SECRET",
    },
    "kafka": {"KAFKA_HEAP_OPTS"},
    "kafka-relay": {
        "ANSWERS_KAFKA",
        "ANSWERS_API_URL",
        "ANSWERS_API_PASSWORD",
        "ANSWERS_RELAY_BATCH",
        "ANSWERS_RELAY_WAIT_MS",
    },
    "spark-master": SPARK | {"SPARK_DAEMON_MEMORY"},
    "spark-worker": SPARK | {"SPARK_DAEMON_MEMORY"},
    **dict.fromkeys(
        ("alertmanager", "catcher", "maildev", "object-store", "prometheus", "statsd-exporter"), frozenset()
    ),
}
# The secrets of .env that each service gets, wherever in its definition.
SECRETS = {
    "airflow-init": {"POSTGRES_PASSWORD", "FERNET_KEY"},
    "airflow-api-server": {"POSTGRES_PASSWORD", "FERNET_KEY", "JWT_SECRET", "API_SECRET_KEY", "ADMIN_PASSWORD"},
    "airflow-scheduler": {"POSTGRES_PASSWORD", "FERNET_KEY", "JWT_SECRET", "REDIS_PASSWORD"},
    "airflow-dag-processor": {"POSTGRES_PASSWORD", "FERNET_KEY", "PARAMETER_WORKER_SECRET"},
    "airflow-triggerer": {"POSTGRES_PASSWORD", "FERNET_KEY", "PARAMETER_WORKER_SECRET"},
    "airflow-worker": {"WORKER_BROKER_PASSWORD", "PARAMETER_WORKER_SECRET", "SPARK_SECRET"},
    "airflow-spark-worker": {"WORKER_BROKER_PASSWORD", "PARAMETER_WORKER_SECRET", "SPARK_SECRET"},
    "airflow-partner-worker": {"PARTNER_BROKER_PASSWORD", "PARAMETER_READ_SECRET", "SPARK_SECRET"},
}
