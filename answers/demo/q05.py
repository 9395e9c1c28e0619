"""Sends many messages on each of the three ways, some of them broken, and audits what became of them (question 5)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from answers.operate import audit, kafka_events
from answers.operate.kafka import start, stop
from answers.stack import kafka, processes
from answers.stack.client import ApiError
from answers.stack.connections import kafka_options
from include.flight_status import broker
from include.waiting import poll

if TYPE_CHECKING:
    from answers.demo import Demo

COUNTS = {"event": 200, "sensor": 100, "webhook": 5}
POISON = [(b"poison", b"\xff"), (b"poison", None)]
PATIENCE = 120  # seconds until no message waits


def play_part(demo: Demo) -> None:
    """Start the broker, send, wait until the backlog is empty, print the evidence.

    On a stack that ran before, a broker that did not is stopped again.

    :raises ApiError: messages still wait after two minutes
    """
    ran_before = kafka.is_answering(demo.settings.ports["kafka"])
    try:
        _send_and_account(demo)
    finally:
        if not ran_before and not processes.started_by_this_process(demo.settings):
            stop()


def _send_and_account(demo: Demo) -> None:
    start(lambda line: demo.out.print(line, style="dim", markup=False))
    opts, batch = kafka_options(), str(time.time_ns())
    for way, count in COUNTS.items():
        poison = POISON if way == "event" else []
        kafka_events.produce_all(opts, broker.WAYS[way], [*poison, *kafka_events.make_events(count, batch)])
    demo.out.print(f"sent {', '.join(f'{count} to {broker.WAYS[way]}' for way, count in COUNTS.items())}, and poison")
    accounts = {each.way: each for each in _wait_until_processed(demo, opts)}
    runs = {way: audit.runs_of_way(demo.airflow, way, "success") for way in COUNTS}
    first = next(iter(runs["webhook"]), {}).get("dag_run_id", "none")
    letters = sum(each.dead for each in accounts.values())
    lost, doubled = (sum(counts) for counts in zip(*((len(a.lost), a.doubled) for a in accounts.values()), strict=True))
    demo.evidence(
        "q05",
        {
            "5.1": f"{accounts['event'].messages} messages by asset events in {len(runs['event'])} runs, "
            f"{accounts['sensor'].messages} by sensor in {len(runs['sensor'])} runs; {accounts['event'].lag} wait",
            "5.2": f"{accounts['webhook'].messages} messages, {len(runs['webhook'])} runs, e.g. {first}",
            "5.3": "; ".join(f"{way}: {each.untracked} not in XCom" for way, each in accounts.items()),
            "5.4": f"lost {lost}, doubled {doubled}; under SIGKILL: make soak",
            "5.5": f"{letters} dead letters, with their reasons: answers kafka dead-letters",
        },
    )


def _wait_until_processed(demo: Demo, opts: broker.Options) -> list[audit.TopicAccount]:
    accounts: list[audit.TopicAccount] = []
    for _ in poll(PATIENCE, 2):
        with demo.warehouse() as client:
            accounts = audit.audit(opts, client)
        if not any(each.lag for each in accounts):
            break
    else:
        raise ApiError(f"messages still wait: {accounts}; see {demo.airflow.link(audit.DAGS['webhook'][0])}")
    for _ in poll(PATIENCE, 2):  # a run returns its offsets a moment after it has written
        with demo.warehouse() as client:
            accounts = audit.audit(opts, client, demo.airflow)
        if not any(each.untracked or each.lag for each in accounts):
            break
    return accounts
