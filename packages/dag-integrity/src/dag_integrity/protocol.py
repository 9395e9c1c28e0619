"""Defines the messages between the command, the zygote and its workers: dataclasses, sent as a line of JSON each.

| from | to | messages |
|---|---|---|
| command | zygote | one Start, then a Spawn for each worker, with the worker's own socket attached |
| zygote | command | Ready or Fatal once, Spawned and Ended for each worker |
| command | worker | a Job for each file |
| worker | command | Begin and Result for each Job |
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from dag_integrity.discovery import DagFile

OWN_FAILURE = 70  # the exit code of a worker that fails outside of a file
Entry = tuple[str, int, str | None, str]  # rule, line, dag_id, message


@dataclass
class Start:
    """Holds what Airflow is imported with."""

    environment: dict[str, str]
    options: dict[str, Any]
    """The configuration, as config.Config.for_workers gives it, and the folder of the traces."""


@dataclass
class Ready:
    """Airflow is imported."""

    version: str


@dataclass
class Fatal:
    """Airflow cannot be imported; the check cannot run."""

    message: str


@dataclass
class Spawn:
    """Fork a worker."""

    number: int


@dataclass
class Spawned:
    """A worker is forked."""

    number: int
    pid: int


@dataclass
class Ended:
    """A worker has ended. `status` is its exit code, or the negative number of the signal that ended it."""

    number: int
    status: int


@dataclass
class Job:
    """A file to parse.

    `doc` asks for the serialised DAGs. `alone` asks for a process that has parsed nothing else, because parsing went wrong in
    one that had.
    """

    id: int
    file: DagFile
    doc: bool = False
    alone: bool = False
    later: bool = False
    """Whether the file is parsed as if it were more than a year later."""

    def __post_init__(self) -> None:
        """Take what JSON makes of a file, too."""
        if isinstance(self.file, dict):
            self.file = DagFile(**self.file)


@dataclass
class Begin:
    """A worker starts with a job. `cpu` is the seconds of CPU that it has used so far."""

    id: int
    cpu: float


@dataclass
class Result:
    """Holds what became of a job."""

    id: int = 0
    findings: list[Entry] = field(default_factory=list)
    dags: list[dict[str, Any]] = field(default_factory=list)
    """The facts of inspection.facts, for across.py."""
    scheduled: list[int] = field(default_factory=list)
    """Lines at which a DAG with the argument `schedule` is made."""
    made: dict[str, Any] = field(default_factory=dict)
    """What became of the DAGs that the file made, as lost.Made tells."""
    documents: dict[str, Any] | None = None
    """The serialised DAGs, when they were asked for or two parses may differ."""
    missing: bool = False
    """A package is not installed: parsing the file again does not help."""
    stopped: bool = False
    """The file was stopped where it asked for something that is refused; its rest is not checked."""
    retire: bool = False
    """The worker takes no further job."""
    died: bool = False
    """The worker ended while it parsed the file."""
    modules: list[str] = field(default_factory=list)
    """The files of the project's modules that it imports."""
    stand_ins: dict[str, int] = field(default_factory=dict)
    """The packages that a stand-in took the place of, and the line that asked first."""


Message = Start | Ready | Fatal | Spawn | Spawned | Ended | Job | Begin | Result
KINDS: dict[str, Any] = {
    kind.__name__: kind for kind in (Start, Ready, Fatal, Spawn, Spawned, Ended, Job, Begin, Result)
}


def encode(message: Message) -> bytes:
    """Encode as a line. What JSON does not know is sent as its text."""
    return json.dumps([type(message).__name__, vars(message)], default=_plain).encode() + b"\n"


def _plain(value: Any) -> Any:
    return vars(value) if isinstance(value, DagFile) else str(value)


def decode(line: bytes) -> Message:
    """Decode a line that `encode` made."""
    name, values = json.loads(line)
    message: Message = KINDS[name](**values)
    return message
