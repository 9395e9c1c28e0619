"""Starts question 5's broker, relay and DAGs on the embedded stack."""

from __future__ import annotations

from collections.abc import Callable


def start(say: Callable[[str], None] = lambda line: None) -> None:
    """Start broker and relay, make the topics, unpause the DAGs.

    :raises answers.stack.parts.StackError: the stack is not up, or the broker does not come up
    """
    from answers.operate import audit
    from answers.stack import kafka
    from answers.stack.client import Airflow
    from answers.stack.connections import kafka_options
    from answers.stack.settings import Settings
    from include.flight_status import broker

    settings = Settings.load()
    kafka.up(settings, say)
    broker.create_topics(kafka_options())
    airflow = Airflow()
    for dag_id, _ in audit.DAGS.values():
        airflow.find_dag(dag_id)
        airflow.unpause(dag_id)
    kafka.start(settings, "kafka-relay")
    say("topics made, relay started, the DAGs of question 5 unpaused")


def stop() -> None:
    """Pause the DAGs, stop relay and broker. Topics and offsets stay.

    :raises answers.stack.parts.StackError: the stack is not up
    :raises answers.stack.client.ApiError: Airflow does not answer
    """
    from answers.operate import audit
    from answers.stack import kafka, parts, processes
    from answers.stack.client import Airflow
    from answers.stack.settings import Settings

    settings = Settings.load()
    if processes.supervisor_process(settings) is None:
        raise parts.StackError("the stack is not up, and Kafka with it")
    airflow = Airflow()
    for dag_id, _ in audit.DAGS.values():
        airflow.pause(dag_id)
    for program in ("kafka-relay", "kafka"):
        kafka.stop(settings, program)
