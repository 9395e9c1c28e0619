"""Show the answered questions on the embedded stack, and what their claims look like in the data: `make demo`.

A question's part is the module of its name here: `play_part(demo)` runs what it needs and prints its evidence. A question
without such a module is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from answers.demo.course import Course
from answers.proof.catalog import Question, load_questions
from answers.stack import catcher, lifecycle
from answers.stack.client import Airflow, ApiError, Run
from answers.stack.connections import open_warehouse
from answers.stack.settings import Settings
from include.waiting import wait_until

T = TypeVar("T")
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Demo:
    """Holds what a part of the demonstration needs. `days` are the local days that it shows, `shown` displays runs."""

    airflow: Airflow
    settings: Settings
    out: Console
    days: list[date]
    shown: Callable[[Iterator[Any]], Iterator[Any]]

    def run(self, dag_id: str, days: list[date]) -> list[str]:
        """Run a DAG for some days and watch it. Returns the runs' ids.

        :raises ApiError: a run failed
        """
        run_ids = [self.airflow.start(dag_id, day) for day in days]
        self.finish(dag_id, run_ids, 1800)
        return run_ids

    def finish(self, dag_id: str, run_ids: list[str], patience: float = 300) -> list[Run]:
        """Watch runs of a DAG until they have ended. Returns them.

        :param patience: seconds
        :raises ApiError: a run failed
        """
        *_, runs = self.shown(self.airflow.watch(dag_id, run_ids, patience=patience))
        if failed := [each.run_id for each in runs if each.state != "success"]:
            raise ApiError(f"{', '.join(failed)} failed: see {self.airflow.link(dag_id)}")
        return runs

    def wait_until(self, ready: Callable[[], T | None], what: str, seconds: float = 60, log: str = "scheduler") -> T:
        """Wait until `ready` gives a true answer, and return it.

        :param seconds: to wait, on the recorded machine (include/waiting.py)
        :param log: the part of the stack whose log says more
        :raises ApiError: it does not come true
        """
        where = self.settings.home / "logs" / f"{log}.log"
        return wait_until(ready, seconds, what, detail=lambda: f"see {where}", error=ApiError)

    def messages(self, path: str) -> list[Any]:
        """Return the bodies of the messages that the catcher has had at a path, oldest first."""
        return [message["body"] for message in catcher.messages(self.settings.ports["catcher"], path)]

    def warehouse(self) -> AbstractContextManager[Any]:
        """Open the warehouse of the stack."""
        return open_warehouse()

    def evidence(self, question: str, seen: dict[str, str]) -> None:
        """Print the claims of a question, each beside what was seen of it."""
        (claims,) = (each.claims for each in load_questions() if each.id == question)
        if unknown := set(seen) - {claim.id for claim in claims}:
            raise ValueError(f"{question} has no claim {', '.join(sorted(unknown))}")
        table = Table("claim", "says", "seen here")
        for claim in claims:
            if claim.id in seen:
                table.add_row(claim.id, claim.text, seen[claim.id])
        self.out.print(table)


def choose_questions(catalogue: list[Question], asked: list[str], folder: Path = FOLDER) -> list[Question]:
    """Return the questions to show, in their order: all that can be shown if none is asked for.

    A question can be shown when it is answered and has a part.

    :param folder: of the parts
    :raises ValueError: one that is asked for cannot be shown
    """
    playable = {question.id: question for question in catalogue if question.answered and _has_part(question, folder)}
    if unknown := [each for each in asked if each not in playable]:
        raise ValueError(f"{', '.join(unknown)} cannot be shown; there are {', '.join(playable)}")
    return [question for id_, question in playable.items() if not asked or id_ in asked]


def _has_part(question: Question, folder: Path) -> bool:
    return (folder / f"{question.id}.py").is_file()


def play_questions(
    questions: list[str], days: list[date], out: Console, shown: Callable[[Iterator[Any]], Iterator[Any]]
) -> bool:
    """Bring the stack up and show the questions, one after the other. One that fails does not hide the others.

    :param questions: of those answered, e.g. ["q01"]; all of them if empty
    :param shown: wraps the watching of runs with a display
    :returns: whether all of them were shown
    :raises StackError: the stack does not come up
    :raises ValueError: a question is not answered yet, has no part, or is unknown
    """
    chosen = choose_questions(load_questions(), questions)
    course = Course([(question.id, question.title) for question in chosen], out)
    course.print_plan()
    try:
        settings = lifecycle.up(lambda line: out.print(line, style="dim", markup=False), dags="local")
        demo = Demo(Airflow(settings.url, settings.secrets["ADMIN_PASSWORD"]), settings, out, days, shown)
        for step in course.steps:
            part = import_module(f"answers.demo.{step.question}")
            course.play_step(step, partial(part.play_part, demo))
    finally:
        course.conclude()
    out.print(f"Airflow: {settings.url}  (user admin, password: `answers open`)", highlight=False)
    return not course.failed
