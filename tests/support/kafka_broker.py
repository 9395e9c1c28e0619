"""A real Kafka broker of the tests' own, the one of the embedded stack, on a free port."""

import json
import subprocess
from pathlib import Path

from answers.stack import dotenv, kafka
from answers.stack.parameters.contents import CONSUMER
from include.flight_status import broker
from support import wait_for

EVENT = {"event_id": "e1", "flight": "2013-06-13/UA1545/EWR", "status": "departed", "at": "2013-06-13T09:15:00Z"}


def event(**changes) -> bytes:
    """Encode an event of a flight's status as its producer does, with some fields changed."""
    return json.dumps(EVENT | changes).encode()


class Broker:
    """The broker in a folder; `options` are a client's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Not two preferred ones: who runs tests beside these would prefer them at the same moment.
        self.port = dotenv.free_port(0)
        self.controller = dotenv.free_port(0, avoid=(self.port,))
        self.options = {"bootstrap.servers": f"127.0.0.1:{self.port}", **CONSUMER}
        self.start()

    def start(self) -> None:
        command, environment = kafka.command(self.folder, self.port, self.controller)
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        wait_for("the broker", lambda: self.process.poll() is not None or kafka.is_answering(self.port), 60, pause=0.1)
        assert self.process.poll() is None, (self.folder / "log").read_text()[-4000:]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def forget(self) -> None:
        """Delete every topic of the project and make it again, as if nothing had ever been sent."""
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": self.options["bootstrap.servers"]})
        names = {*broker.WAYS.values(), broker.DEAD_LETTER_TOPIC}
        there = names & set(admin.list_topics(timeout=10).topics)
        if there:
            for future in admin.delete_topics(list(there)).values():
                future.result()
        wait_for("the topics to be gone", lambda: not names & set(admin.list_topics(timeout=10).topics), 20, pause=0.05)
        broker.create_topics(self.options)

        def ready() -> bool:
            try:
                return all(len(broker.find_topic(self.options, name).bounds) == broker.PARTITIONS for name in names)
            except (broker.TopicMissing, broker.BrokerUnavailable):
                return False

        wait_for("the topics to be there", ready, 20, pause=0.05)
