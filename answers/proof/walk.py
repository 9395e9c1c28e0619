"""Walks through a question, step by step: what is said, shown and run. The steps are data, in the question's YAML file."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from answers.proof.catalog import ROOT, CatalogError, Question, Step
from answers.proof.excerpts import excerpt
from include.waiting import patience

WORDS_A_SECOND = 170 / 60  # the pace of an answer: 170 words at most, in 60 seconds
LOOK_SECONDS = 5  # seconds that a listener looks at an excerpt
WITHOUT_RUNS, WITH_RUNS = 180, 480  # seconds, at most
SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z`“\"])")


def sentences(paragraph: str) -> list[str]:
    """Split a paragraph of an answer into the sentences that are said."""
    return SENTENCE.split(" ".join(paragraph.split()))


@dataclass
class StepOutcome:
    """Records what became of one step.

    :param problems: what was not as it should be; none where the step works.
    :param output: what the commands printed.
    """

    number: int
    problems: list[str] = field(default_factory=list)
    output: str = ""


def seconds_of(step: Step) -> dict[str, int]:
    """Return how long a step takes: `said`, with a look at its excerpt, and `run`."""
    said = len(step.say.split()) / WORDS_A_SECOND + (LOOK_SECONDS if step.show else 0)
    return {"said": round(said), "run": step.expect.seconds if step.expect else 0}


def walk_seconds(question: Question) -> dict[str, int]:
    """Return how long a walk takes, in seconds: `said` without its commands, `whole` with them."""
    times = [seconds_of(step) for step in question.walk]
    said = sum(each["said"] for each in times)
    return {"said": said, "whole": said + sum(each["run"] for each in times)}


def check_walk(question: Question, run: bool = True, first: int = 1, root: Path = ROOT) -> Iterator[StepOutcome]:
    """Play a walk without a word: resolve what is shown, run what is run, compare with what is expected.

    :param run: run the commands, too.
    :param first: the number of the first step, from 1.
    """
    for number, step in enumerate(question.walk, 1):
        if number >= first:
            yield _play_step(number, step, run, root)


def _play_step(number: int, step: Step, run: bool, root: Path) -> StepOutcome:
    played = StepOutcome(number)
    if step.show:
        try:
            excerpt(step.show, root)
        except CatalogError as error:
            played.problems.append(str(error))
    if not (run and step.expect):
        return played
    for command in step.commands:
        code, output = run_command(command, step.expect.seconds, root)
        played.output += output
        if code is None:
            played.problems.append(f"{command}: not done after {step.expect.seconds} s")
            return played
        if code != step.expect.exit:
            played.problems.append(f"{command}: ended with {code} instead of {step.expect.exit}: {_last_lines(output)}")
            return played
    if step.expect.says and step.expect.says not in played.output:
        played.problems.append(
            f"{step.commands[-1]}: does not print {step.expect.says!r}: {_last_lines(played.output)}"
        )
    return played


def run_command(command: str, seconds: float, root: Path = ROOT) -> tuple[int | None, str]:
    """Run a command of a walk with this interpreter. No shell sees it.

    :param seconds: that it may take on the recorded machine; a slower one gets more.
    :returns: its exit code, None where it took too long, and what it printed.
    """
    arguments = [sys.executable, "-m", *shlex.split(command)]
    try:
        done = subprocess.run(
            arguments,
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=patience(seconds),
        )
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        return None, output.decode(errors="replace") if isinstance(output, bytes) else output
    return done.returncode, done.stdout


def _last_lines(output: str) -> str:
    return " / ".join(output.strip().splitlines()[-3:]) or "it printed nothing"
