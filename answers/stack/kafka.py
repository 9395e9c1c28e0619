"""Runs the embedded Kafka broker (KRaft mode, one node, on loopback): a program of the supervisor, on demand.

Run as `python -m answers.stack.kafka`: brings the jars, formats the storage the first time, and becomes the broker.
Environment: ANSWERS_STACK, ANSWERS_KAFKA_PORT, ANSWERS_KAFKA_CONTROLLER_PORT.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from answers.stack import jars, parts, processes
from answers.stack.java import find_java
from answers.stack.settings import Settings
from include.files import write_atomically
from include.waiting import wait_until

LOCK = Path(__file__).with_name("kafka.lock")
LARGEST_MESSAGE = 12 << 20  # bytes
HEAP = "-Xmx384m"
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
message.max.bytes={largest}
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=8388608
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# A topic that was deleted is gone from the disk soon.
file.delete.delay.ms=1000
"""
LOG4J = """\
Configuration:
  Appenders:
    Console: {name: STDOUT, PatternLayout: {pattern: "[%d] %p %m (%c)%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: {ref: STDOUT}}
"""


def command(folder: Path, port: int, controller: int) -> tuple[list[str], dict[str, str]]:
    """Return the broker's command line and environment, once jars and storage are in order.

    :param folder: of the broker's own: configuration and data
    :raises answers.stack.jars.JarsMissing: they cannot be brought
    """
    classpath = os.pathsep.join(map(str, jars.fetch(LOCK)))
    data = folder / "data"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    properties, logging = folder / "server.properties", folder / "log4j2.yaml"
    text = PROPERTIES.format(port=port, controller=controller, data=data, largest=LARGEST_MESSAGE)
    write_atomically(properties, text)
    write_atomically(logging, LOG4J)
    java = str(find_java(folder) / "bin" / "java")
    flags = [java, HEAP, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={logging}"]
    flags += ["-cp", classpath]
    if not (data / "meta.properties").exists():  # the last file that formatting writes
        shutil.rmtree(data, ignore_errors=True)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode().lstrip("-") or "answers"
        storage = [*flags, "kafka.tools.StorageTool", "format", "--config", str(properties), "--cluster-id", cluster]
        done = subprocess.run(storage, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"Kafka's storage in {data} could not be formatted: {done.stderr or done.stdout}")
    return [*flags, "kafka.Kafka", str(properties)], dict(os.environ)


def is_answering(port: int) -> bool:
    """Tell whether a broker on loopback lists its topics."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}).list_topics(timeout=2)
    except (OSError, KafkaException):
        return False
    return True


def up(settings: Settings, say: Callable[[str], None] = print, patience: float = 60) -> None:
    """Start the broker of the embedded stack, which must be up, and wait until it answers.

    :raises answers.stack.parts.StackError: with the end of its log
    """
    if processes.supervisor_process(settings) is None:
        raise parts.StackError("the stack is not up: run `answers up` first")
    if "kafka" not in settings.ports:
        raise parts.StackError("the stack was started without Kafka: `answers down`, then `answers up`")
    try:
        jars.fetch(LOCK)
    except jars.JarsMissing as error:
        raise parts.StackError(str(error)) from error
    start(settings, "kafka")
    wait_until(
        lambda: is_answering(settings.ports["kafka"]),
        patience,
        "kafka",
        pause=0.1,
        say=say,
        detail=lambda: f"({settings.home / 'logs'})\n{parts.log_tail(settings, 'kafka')}",
        error=parts.StackError,
    )
    say(f"Kafka listens on 127.0.0.1:{settings.ports['kafka']}")


def start(settings: Settings, program: str) -> None:
    """Start a program of the supervisor unless it runs."""
    rpc = parts.supervisor(settings)
    if rpc.getProcessInfo(program)["statename"] not in ("RUNNING", "STARTING"):
        rpc.startProcess(program, False)


def stop(settings: Settings, program: str) -> None:
    """Stop a program of the supervisor if it runs."""
    rpc = parts.supervisor(settings)
    if rpc.getProcessInfo(program)["statename"] in ("RUNNING", "STARTING", "BACKOFF"):
        rpc.stopProcess(program)


def main() -> None:
    """Become the broker."""
    folder = Path(os.environ["ANSWERS_STACK"]) / "kafka"
    port, controller = (int(os.environ[f"ANSWERS_{name}_PORT"]) for name in ("KAFKA", "KAFKA_CONTROLLER"))
    line, environment = command(folder, port, controller)
    os.execve(line[0], line, environment)


if __name__ == "__main__":
    main()
