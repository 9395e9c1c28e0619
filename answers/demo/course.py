"""Says how long a demonstration takes here, how far it is, and which questions were shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from include.waiting import slowness

# Seconds of each part on the recorded machine: 2 cores, nothing else on it. Measured in a whole run on a third of its time
# (`make slow TARGET=demo`), and divided by the slowness of that run.
START = 20
SECONDS = {
    "q01": 80,
    "q02": 15,
    "q03": 70,
    "q04": 20,
    "q05": 20,
    "q06": 20,
    "q07": 10,
    "q08": 10,
    "q09": 20,
    "q10": 60,
}
USUAL = 30  # for a question that is not in the list yet
SHOWN, FAILED, NOT_SHOWN = "shown", "failed", "not shown"
COLOURS = {SHOWN: "green", FAILED: "red", NOT_SHOWN: "yellow"}


@dataclass
class Step:
    """Records one question of the course: its outcome, and the reason of a failure."""

    question: str
    title: str
    outcome: str = NOT_SHOWN
    seconds: float = 0.0
    why: str = ""


class Course:
    """Plays the questions in their order, and says what time they take."""

    def __init__(self, questions: Iterable[tuple[str, str]], out: Console) -> None:
        self.steps = [Step(question, title) for question, title in questions]
        self._out = out
        self._began = time.monotonic()
        self._slowness = slowness()

    @property
    def failed(self) -> list[Step]:
        """Return the questions that failed."""
        return [step for step in self.steps if step.outcome == FAILED]

    def print_plan(self) -> None:
        """Say how long it takes at the present speed of this machine."""
        seconds = self._slowness * (START + _recorded(self.steps))
        why = f": it is {self._slowness:.1f} times slower than the recorded one at present" * (self._slowness >= 1.5)
        self._out.print(f"{len(self.steps)} questions, about {_minutes(seconds)} on this machine{why}", highlight=False)

    def play_step(self, step: Step, part: Callable[[], None]) -> None:
        """Show one question. A failure is printed; the next questions are still shown."""
        number = self.steps.index(step) + 1
        self._out.rule(f"Question {step.question[1:].lstrip('0')} · {step.title}")
        self._out.print(f"{number} of {len(self.steps)}, {self._progress(number)}", style="dim", highlight=False)
        began = time.monotonic()
        try:
            part()
        except KeyboardInterrupt:
            step.why = "interrupted"
            raise
        except Exception as error:  # the other questions can be shown after any error
            step.outcome, step.why = FAILED, str(error) or type(error).__name__
            self._out.print(f"question {step.question[1:].lstrip('0')} failed: {step.why}", style="red", markup=False)
        else:
            step.outcome = SHOWN
        finally:
            step.seconds = time.monotonic() - began

    def _progress(self, number: int) -> str:
        """Say the time so far and the time to come, at the pace so far."""
        passed = time.monotonic() - self._began
        pace = max(1.0, passed / (START + _recorded(self.steps[: number - 1])))
        return f"{_minutes(passed)} so far, about {_minutes(pace * _recorded(self.steps[number - 1 :]))} to go"

    def conclude(self) -> None:
        """Print the outcome of the questions, if one was begun."""
        if any(step.seconds for step in self.steps):
            self._out.print(self.summary())

    def summary(self) -> Table:
        """Return a table of the questions and their outcomes."""
        table = Table("question", "", "outcome", "took", "why")
        for step in self.steps:
            took = f"{step.seconds:.0f} s" if step.seconds else ""
            first = step.why.splitlines()[0] if step.why else ""
            colour = COLOURS[step.outcome]
            table.add_row(step.question[1:].lstrip("0"), step.title, f"[{colour}]{step.outcome}[/]", took, first)
        return table


def _recorded(steps: Iterable[Step]) -> float:
    return sum(SECONDS.get(step.question, USUAL) for step in steps)


def _minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    return "less than a minute" if not minutes else "a minute" if minutes == 1 else f"{minutes} minutes"
