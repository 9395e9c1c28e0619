"""Checks the health of the containers: `python -I answers/stack/health.py PART`, exit code 0 if the part works.

Docker asks every few seconds, so a check must cost little. `airflow jobs check` and `celery inspect ping` would import
all of Airflow each time, three seconds of CPU on every component; these ask the same questions in a tenth of one.
"""

import json
import os
import socket
import sys
from urllib.request import urlopen

# Twice Airflow's default for a heartbeat that is too old, for laptops that are busy with other things.
STALE_SECONDS = 60
# Below the 30 s that Docker and Kubernetes give a check. A part that works answers at once, unless the machine is slow.
ANSWER_WITHIN = 20
RELAY_GROUP = "answers-relay"  # as in include/flight_status/broker.py, which an isolated Python does not find
JOBS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}


def _get(url: str) -> dict:
    with urlopen(url, timeout=ANSWER_WITHIN) as response:  # noqa: S310  # fixed addresses of this file
        return dict(json.load(response))


def api_server() -> bool:
    """Tell whether the API answers and reaches the metadata database."""
    return bool(_get("http://localhost:8080/api/v2/monitor/health")["metadatabase"]["status"] == "healthy")


def job(part: str) -> bool:
    """Tell whether the job of this very container wrote a recent heartbeat to the metadata database."""
    import psycopg2

    with psycopg2.connect(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT count(*) FROM job WHERE job_type = %s AND hostname = %s AND state = 'running'"
            " AND latest_heartbeat > now() - %s * interval '1 second'",
            (JOBS[part], socket.gethostname(), STALE_SECONDS),
        )
        return bool(cursor.fetchone()[0])


def worker() -> bool:
    """Tell whether the Celery worker of this container answers a ping through the broker."""
    from celery import Celery
    from kombu import pools

    app = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
    try:
        return bool(app.control.ping(destination=[f"celery@{socket.gethostname()}"], timeout=ANSWER_WITHIN, limit=1))
    finally:
        pools.reset()  # RabbitMQ's log has a warning for each connection that is not closed


def catcher() -> bool:
    """Tell whether the catcher of webhooks answers."""
    return bool(_get("http://localhost:9080/health")["status"] == "ok")


def spark_master() -> bool:
    """Tell whether the master accepts applications."""
    return bool(_get("http://localhost:8080/json/")["status"] == "ALIVE")


def spark_worker() -> bool:
    """Tell whether the worker serves its page, and the master lists a living worker with this container's address."""
    _get("http://localhost:8081/json/")
    address = socket.gethostbyname(socket.gethostname())
    workers = _get("http://spark-master:8080/json/")["workers"]
    return any(known["host"] == address and known["state"] == "ALIVE" for known in workers)


def kafka_relay() -> bool:
    """Tell whether the relay is a member of its consumer group."""
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": os.environ["ANSWERS_KAFKA"]})
    return bool(admin.describe_consumer_groups([RELAY_GROUP])[RELAY_GROUP].result(timeout=ANSWER_WITHIN).members)


def main() -> None:
    """Check the part that the command line names; say why when it does not work."""
    part = sys.argv[1]
    checks = {
        "api-server": api_server,
        "worker": worker,
        "catcher": catcher,
        "kafka-relay": kafka_relay,
        "spark-master": spark_master,
        "spark-worker": spark_worker,
    }
    try:
        healthy = job(part) if part in JOBS else checks[part]()
    except Exception as error:  # any failure means the same to Docker; its text shows in `docker inspect`
        sys.exit(f"{part}: {error!r}")
    if not healthy:
        sys.exit(f"{part} does not report")


if __name__ == "__main__":
    main()
