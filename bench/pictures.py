"""Makes the pictures of docs/ and README.md, each with its text beside it: `make pictures`, with the embedded stack up.

    answers up && make pictures                 all of them
    make pictures ARGS="prove plots"            some of them

Airflow's UI is taken by headless Chromium, the terminal is drawn by rich, plots by matplotlib. The text beside a picture is
what tests/unit/test_pictures.py compares with the project, so that a picture does not outlive what it shows.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
from rich.console import Console
from rich.text import Text

from answers.operate.sla_judge import FAILED, LATE, MISSING, ON_TIME, Row, Run, Slot, compliance, judge
from answers.operate.sla_plot import draw_compliance
from answers.stack.client import Airflow, ApiError
from answers.stack.parts import StackError
from answers.stack.settings import Settings
from bench.browser import BrowserMissing, browser
from bench.harness import PROJECT
from bench.page import signed_in
from bench.plots import plots
from include.flights.days import midnight

IMAGES = PROJECT / "docs" / "images"
WIDTH, HEIGHT = 1440, 860  # pixels
COLUMNS = 112  # of a terminal whose picture is not wider than WIDTH
CLAIMS = ("2.2", "7.3")  # proven without a stack, in a minute
TICKET, WRONG_ANSWER = (
    "q09-rule-from-july",
    "by-the-clock",
)  # what is played for the pictures of a check and of its report
DAY = date(2013, 2, 10)
FRAME = "document.querySelector('iframe')?.contentDocument"  # of the Answers page in Airflow's UI
PROMETHEUS = "http://127.0.0.1:9090"
# rich's frame without its web font, which would be fetched from the network whenever somebody looks.
SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" width="{width}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: DejaVu Sans Mono, Menlo, Consolas, monospace; font-size: {char_height}px;
  line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


def ui() -> list[Path]:
    """Take the page of a run of question 1 in Airflow's UI. The run is made where it is missing."""
    settings = Settings.load()
    airflow = Airflow()
    dag_id = airflow.find_dag("q01")
    run_id = airflow.start(dag_id, DAY)
    *_, (run,) = airflow.watch(dag_id, [run_id], 1800)
    if run.state != "success":
        raise ApiError(f"{run_id} of {dag_id} failed: see {settings.url}")
    with signed_in(settings, WIDTH, HEIGHT) as page:
        wanted = [dag_id, run_id, f"{len(run.tasks)} Task Instances", *run.tasks]
        text = page.show(airflow.link(dag_id, run_id), wanted)
        page.picture(IMAGES / "ui.png")
    return [IMAGES / "ui.png", _beside("ui", text)]


def answers() -> list[Path]:
    """Take the Answers page in Airflow's frame: a question with its answer, and what its last runs left behind, in the dark.

    A run of question 1 is made where it is missing.
    """
    settings, client = Settings.load(), Airflow()
    dag_id = client.find_dag("q01")
    for _ in client.watch(dag_id, [client.start(dag_id, DAY)], 1800):
        pass
    files = []
    for name, theme, place, wanted in (
        ("answers", "light", "title", ["The answer to say", "Claims"]),
        ("evidence", "dark", "evidence", ["Live evidence", "landed"]),
    ):
        with signed_in(settings, WIDTH, HEIGHT) as page:
            keep = f"localStorage.setItem('theme', '{theme}')"  # where Airflow's own switch keeps it
            page.call("Page.addScriptToEvaluateOnNewDocument", source=keep)
            text = page.show(f"{settings.url}/plugin/answers/answers/?q=q01", wanted, FRAME)
            page.call("Runtime.evaluate", expression=f"{FRAME}.getElementById('{place}').scrollIntoView()")
            page.picture(IMAGES / f"{name}.png")
        files += [IMAGES / f"{name}.png", _beside(name, text)]
    return files


def prove() -> list[Path]:
    """Draw what `answers prove` prints of some claims."""
    environment = os.environ | {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "answers", "prove", *CLAIMS]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise StackError(f"{' '.join(command[1:])} failed: {Text.from_ansi(done.stdout[-2000:]).plain}")
    shown = Text.from_ansi(f"$ answers prove {' '.join(CLAIMS)}\n{done.stdout.rstrip()}")
    shown = shown[: shown.plain.index("\nabout ")]  # what follows names a folder of this machine
    return _terminal("prove", "answers prove", shown)


def exercise() -> list[Path]:
    """Play a ticket: a wrong answer and a right one are checked, and the interviewer's report is looked at."""
    from answers.exercise import catalogue, report, session, workspace
    from answers.exercise.changes import Changes, lay_over
    from answers.exercise.prove import Case, changes_of

    ticket = catalogue.find(PROJECT, TICKET)
    wrong = next(each for each in ticket.wrong if each.id == WRONG_ANSWER)
    environment = os.environ | {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    with tempfile.TemporaryDirectory(prefix="answers-picture-") as folder:
        copy = workspace.start(PROJECT, ticket, 1, Path(folder, "interview"), minutes=15)
        start = Path(folder, "start")
        shutil.copytree(copy.folder, start, symlinks=True, ignore=shutil.ignore_patterns(".git", ".venv", ".answers"))
        for case in (Case("wrong", wrong.id, wrong), Case("design", str(wrong.base))):
            changes = changes_of(ticket, case, start)
            lay_over(changes, copy.folder)
            command = [sys.executable, "-m", "answers", "exercise", "check", str(copy.folder)]
            done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
            if case.wrong:
                lay_over(Changes(changes.before, changes.files), copy.folder)
                shown = Text.from_ansi(f"$ answers exercise check\n{done.stdout.rstrip()}")
        if done.returncode:
            raise StackError(f"the design {wrong.base} does not hold: {Text.from_ansi(done.stdout[-2000:]).plain}")
        page = Path(folder, "report.html")
        page.write_text(report.as_html(report.gather(PROJECT, copy)), encoding="utf-8")
        with browser(1100, 900) as chromium:
            text = chromium.show(page.as_uri(), [ticket.exercise.title, "Rubric"])
            chromium.picture(IMAGES / "report.png")
        shutil.rmtree(session.kept_at(PROJECT, copy), ignore_errors=True)
    before = text.partition("Replay")[0]
    return [*_terminal("check", "answers exercise check", shown), IMAGES / "report.png", _beside("report", before)]


def _terminal(name: str, title: str, shown: Text) -> list[Path]:
    """Draw what a command has printed."""
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere)
        console.print(shown)
        console.save_svg(str(IMAGES / f"{name}.svg"), title=title, code_format=SVG, unique_id=name)
    return [IMAGES / f"{name}.svg", _beside(name, shown.plain)]


def history() -> list[Row]:
    """Make 300 days of a DAG up and judge them: 9 late, 4 failed, 2 missing, always the same."""
    pick = random.Random(0)  # nothing secret hangs on it
    fates = [LATE] * 9 + [FAILED] * 4 + [MISSING] * 2 + [ON_TIME] * 285
    pick.shuffle(fates)
    slots, runs = [], []
    for number, fate in enumerate(fates):
        start, end = (midnight(date(2013, 1, 1) + timedelta(days=number + shift)) for shift in (0, 1))
        slots.append(Slot("report", start, end))
        if fate != MISSING:
            state = "failed" if fate == FAILED else "success"
            ended = end + timedelta(minutes=pick.uniform(31, 500) if fate == LATE else pick.uniform(1, 29))
            runs.append(Run(dag_id="report", run_id="scheduled", start=start, due=end, state=state, ended=ended))
    return compliance(judge(slots, runs, {"report": timedelta(minutes=30)}, datetime(2014, 3, 1, tzinfo=UTC)))


def sla(folder: Path = IMAGES) -> list[Path]:
    """Draw the compliance of the made-up history as `answers sla --plot` does."""
    rows = history()
    draw_compliance(rows, folder / "sla.png")
    weeks = [f"{row.week or 'all'}: {row.on_time} of {row.scheduled} on time, {row.late} late, {row.failed} failed, "
             f"{row.missing} missing" for row in rows]  # fmt: skip
    return [folder / "sla.png", _beside("sla", "\n".join(weeks), folder)]


def alert() -> list[Path]:
    """Take Prometheus's page of alerts of the compose stack; leaves the picture as it is where that stack is not up."""
    try:
        rules = httpx.get(f"{PROMETHEUS}/api/v1/rules?type=alert", trust_env=False).raise_for_status().json()
    except httpx.HTTPError:
        print(f"alert.png stays as it is: no Prometheus at {PROMETHEUS} (`make up`, see docs/q02.md)")
        return []
    names = [rule["name"] for group in rules["data"]["groups"] for rule in group["rules"]]
    with browser(1300, 730) as page:
        text = page.show(f"{PROMETHEUS}/alerts", names)
        page.picture(IMAGES / "alert.png")
    return [IMAGES / "alert.png", _beside("alert", text)]


def drawn() -> list[Path]:
    """Draw the plots of what the benchmarks recorded. Their text is the JSON beside each."""
    return [PROJECT / "bench" / "results" / name for name in plots()]


PICTURES: dict[str, Callable[[], list[Path]]] = {
    "ui": ui,
    "answers": answers,
    "prove": prove,
    "exercise": exercise,
    "sla": sla,
    "alert": alert,
    "plots": drawn,
}


def _beside(name: str, text: str, folder: Path = IMAGES) -> Path:
    file = folder / f"{name}.txt"
    lines = [line.rstrip() for line in text.replace(str(PROJECT), ".").splitlines()]
    file.write_text("\n".join(line for line in lines if line) + "\n", encoding="utf-8")
    return file


def main() -> None:
    """Make what is asked for; ends with 1 where something cannot be made."""
    parser = argparse.ArgumentParser(prog="make pictures", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}; all if none")
    names = parser.parse_args().names or list(PICTURES)
    if unknown := [name for name in names if name not in PICTURES]:
        parser.error(f"no picture {', '.join(unknown)}: there are {', '.join(PICTURES)}")
    failed = False
    for name in names:
        try:
            for file in PICTURES[name]():
                print(file.relative_to(PROJECT))
        except (ApiError, BrowserMissing, StackError, TimeoutError, RuntimeError) as error:
            print(f"pictures: {name}: {error}", file=sys.stderr)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
