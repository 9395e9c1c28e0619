"""Defines `answers kafka`: the broker, its topics and what became of their messages."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from answers.console import AsJson, err, out, readable_errors
from answers.interrupts import interruptible
from answers.operate.kafka import start, stop

app = typer.Typer(help="Question 5: Kafka, its events, their consumers and the audit.", no_args_is_help=True)
Way = Annotated[str, typer.Option(help="event, sensor or webhook.")]


@contextmanager
def _readable_kafka_errors() -> Iterator[None]:
    from include.flight_status.broker import BrokerUnavailable, TopicMissing

    with readable_errors():
        try:
            yield
        except (BrokerUnavailable, TopicMissing) as error:
            err.print(f"answers: {error}", style="red", markup=False, highlight=False)
            raise typer.Exit(1) from error


@app.command()
def up() -> None:
    """Start the embedded stack's broker and relay, make the topics, unpause the DAGs."""
    with _readable_kafka_errors():
        start(lambda line: out.print(line, style="dim", markup=False))


@app.command()
def down() -> None:
    """Pause the DAGs, stop relay and broker. Topics and offsets stay."""
    with _readable_kafka_errors():
        stop()


@app.command()
def produce(
    way: Way = "event",
    count: Annotated[int, typer.Option(min=1, help="Messages.")] = 100,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Messages a second; as fast as it goes if left out.")
    ] = None,
    batch: Annotated[str | None, typer.Option(help="Its name; the same one again gives the same event ids.")] = None,
) -> None:
    """Send flight-status events to the topic of one way."""
    from answers.operate.kafka_events import make_events, produce_all
    from answers.stack.connections import kafka_options

    with _readable_kafka_errors():
        began = time.monotonic()
        sent = produce_all(kafka_options(), _topic_of_way(way), make_events(count, batch or str(time.time_ns())), rate)
        out.print(f"{sent} messages in {time.monotonic() - began:.1f} s to {_topic_of_way(way)}", highlight=False)


@app.command()
def audit(
    as_json: AsJson = False,
    xcom: Annotated[bool, typer.Option(help="Also compare with the XComs, through Airflow's API.")] = True,
) -> None:
    """Compare broker, warehouse and XCom. Exit code 1 when a message is lost, doubled or waiting."""
    from answers.operate.audit import audit as account
    from answers.stack.client import Airflow
    from answers.stack.connections import kafka_options, open_warehouse

    with _readable_kafka_errors():
        with open_warehouse() as client:
            accounts = account(kafka_options(), client, Airflow() if xcom else None)
        if as_json:
            print(json.dumps([asdict(each) | {"clean": each.clean} for each in accounts]))
        else:
            names = [name for name in asdict(accounts[0]) if name != "topic"]
            table = Table(*names)
            for each in accounts:
                values = asdict(each) | {"lost": len(each.lost)}
                table.add_row(*("" if values[name] is None else str(values[name]) for name in names))
            out.print(table)
        if lost := [place for each in accounts for place in each.lost]:
            err.print(f"lost: {', '.join(lost[:20])}{' …' if len(lost) > 20 else ''}", style="red", highlight=False)
        if not all(each.clean for each in accounts):
            raise typer.Exit(1)


@app.command()
def relay(
    most: Annotated[int | None, typer.Option(help="End after so many messages.")] = None,
    batch: Annotated[
        int, typer.Option(min=1, max=10_000, help="Messages of a partition that a run is given at most.")
    ] = 1,
    wait: Annotated[int, typer.Option(min=0, max=60_000, help="Milliseconds that a batch waits for more.")] = 0,
) -> None:
    """Relay messages to Airflow's REST API in the foreground, until Ctrl-C: a run for each, or for each batch."""
    from answers.operate.relay import Batches, RunNotTaken
    from answers.operate.relay import relay_messages as run
    from answers.stack.client import Airflow, ApiError
    from answers.stack.connections import kafka_options

    with _readable_kafka_errors():
        try:
            with interruptible():
                relayed = run(Airflow(), kafka_options(), most, Batches(batch, wait / 1000))
                out.print(f"{relayed} relayed")
        except KeyboardInterrupt:
            return
        except RunNotTaken as error:
            raise ApiError(f"{error} (the next relay sends the rest)") from error


@app.command("dead-letters")
def dead_letters(as_json: AsJson = False) -> None:
    """List the dead letters with their reasons."""
    from answers.operate.dead_letters import read_dead_letters
    from answers.stack.connections import kafka_options

    with _readable_kafka_errors():
        letters = list(read_dead_letters(kafka_options()))
        if as_json:
            print(json.dumps([{"source": each.source, "reason": each.reason} for each in letters]))
            return
        table = Table("message", "bytes", "reason")
        for each in letters:
            table.add_row(each.source, str(len(each.value or b"")), each.reason)
        out.print(table if letters else "there is no dead letter")


@app.command()
def replay() -> None:
    """Send dead letters to their topics again. Do it once the reason of their refusal is mended."""
    from answers.operate.dead_letters import replay_dead_letters as run
    from answers.stack.connections import kafka_options

    with _readable_kafka_errors():
        out.print(f"{run(kafka_options())} dead letters sent again")


def _topic_of_way(way: str) -> str:
    from include.flight_status.broker import WAYS

    if way not in WAYS:
        raise ValueError(f"--way {way}: there are {', '.join(WAYS)}")
    return WAYS[way]
