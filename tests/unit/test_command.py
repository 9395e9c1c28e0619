"""The `answers` command where no stack runs: what it refuses, and says to do; and what needs none."""

import fcntl
import io
import json
from datetime import date
from importlib import import_module
from inspect import signature

import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from answers import demo as demonstration
from answers import progress
from answers.cli import app as cli
from answers.demo import Demo, q04, q06, q08
from answers.operate.fleet import State
from answers.proof.catalog import load_questions
from answers.stack import parts
from answers.stack.client import ApiError, Run
from answers.stack.settings import Settings
from include.fleet.model import load_fleet
from support import HOME, PROJECT, expected
from support.command import answers

# -- nothing runs


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("status",), "not running"),
        (("open",), "the stack is not running: `answers up`"),
        (("run", "q01", "--date", "2013-06-13"), "the stack has never been started: run `answers up`"),
        (("fleet", "run", "--date", "2013-06-13"), "the stack has never been started: run `answers up`"),
        (("airflow", "version"), "the stack has never been started: run `answers up`"),
        (("secrets", "list"), "the stack is not running: `answers up`"),
        (("secrets", "seed"), "the stack is not running: `answers up`"),
        (("secrets", "rotate", "q06_partner"), "the stack is not running: `answers up`"),
        (("secrets", "rotate-fernet"), "the stack is not running: `answers up`"),
        (("kafka", "up"), "answers up"),
        (("kafka", "down"), "the stack is not up"),
        (("kafka", "produce"), "there is no Kafka yet"),
        (("demo", "q99"), "q99 cannot be shown; there are q01"),
        (("demo", "--from", "2013-02-09", "--to", "2013-02-08"), "lies before"),
        (("sla", "--from", "2013-02-09", "--to", "2013-02-08"), "lies before"),
        (("rollback", "--date", "2013-02-08", "--undo", "--to", "3"), "give --undo or --to, not both"),
        (("fleet", "run", "--date", "2013-06-13", "--for", "ZZ"), "no carrier or roll-up 'ZZ'"),
    ],
)
def test_a_command_says_what_to_do(home, arguments, says):
    assert says in answers(*arguments, code=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--date", "13.06.2013"), "write it as 2013-06-13"),
        (("--date", "2014-01-01"), "lies outside of the data"),
        (("--from", "2013-06-13"), "say which days"),
        (("--from", "2013-06-13", "--to", "2013-06-12"), "lies before"),
    ],
)
def test_answers_run_refuses_days_that_are_none(home, arguments, message):
    assert message in answers("run", "q01", *arguments, code=1)


def test_down_has_nothing_to_stop_and_status_tells_every_part(home):
    assert "nothing was running" in answers("down")
    status = json.loads(answers("status", "--json", code=1))
    assert not status["running"]
    assert {part["part"] for part in status["parts"]} == set(parts.PARTS)
    assert {part["state"] for part in status["parts"]} == {"STOPPED"}
    assert home.stat().st_mode & 0o777 == 0o700


def test_too_little_memory_is_told_before_anything_starts(home, monkeypatch):
    monkeypatch.setenv("ANSWERS_MIN_MEMORY", str(1 << 60))
    for command in (("up",), ("up", "--dags", "local", "--json"), ("demo", "q01")):
        said = answers(*command, code=1)
        assert "GB of memory are available" in said
        assert "ANSWERS_MIN_MEMORY" in said
        assert not (home / "supervisord.pid").exists()
    assert "--dags nowhere: should be local or git" in answers("up", "--dags", "nowhere", code=1)


def test_a_disk_with_a_gigabyte_left_is_told_before_anything_starts(home, monkeypatch):
    monkeypatch.setenv("ANSWERS_MIN_DISK", str(1 << 60))
    said = answers("demo", "q01", code=1)
    assert f"GB of disk are free in {home}" in said.replace("\n", "")
    assert "ANSWERS_MIN_DISK" in said
    assert not (home / "supervisord.pid").exists()


def test_two_commands_at_once_do_not_meet(home):
    home.mkdir()
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in ("up", "down"):
            assert "another `answers up` or `answers down` works on" in answers(command, code=1)


def test_the_end_of_a_log_is_shown(home):
    settings = Settings.load()
    assert parts.log_tail(settings, "scheduler") == ""
    (home / "logs").mkdir()
    (home / "logs" / "scheduler.log").write_bytes(b"".join(b"line %d \xff\n" % n for n in range(50)))
    assert parts.log_tail(settings, "scheduler", 2) == "line 48 \ufffd\nline 49 \ufffd"


# -- what needs no stack


def test_the_warehouse_is_asked_in_any_format(warehouse):
    warehouse.close()
    assert HOME.exists()
    assert answers("sql", "SELECT 1 AS a, 'x' AS b", "--format", "CSV") == '1,"x"\n'
    assert json.loads(answers("sql", "SELECT 1 AS a", "--format", "JSON"))["data"] == [{"a": 1}]
    done = CliRunner().invoke(cli.app, ["sql", "SELECT number FROM numbers(3)", "--format", "Parquet"])
    assert list(pd.read_parquet(io.BytesIO(done.stdout_bytes))["number"]) == [0, 1, 2]
    assert answers("sql", "CREATE DATABASE IF NOT EXISTS warehouse") != ""
    assert "Unknown" in answers("sql", "SELECT * FROM warehouse.nowhere", code=1)


def test_the_fleet_is_listed(home):
    members = json.loads(answers("fleet", "list", "--json"))
    assert len(members) == 55
    told = answers("fleet", "list")
    assert all(member["dag_id"] in told for member in members)


@pytest.mark.parametrize("tasks", [2, 20])
def test_runs_are_shown_line_by_line_and_as_a_table(monkeypatch, capsys, tasks):
    """The table names each task, or counts them by state where they are many."""

    def looks():
        for state in ("running", "up_for_retry", "failed"):
            done = {f"task_{number}": ("success", 1, 2.5) for number in range(1, tasks)}
            yield [Run("dag", "answers__2013-06-13", state, {"task_0": (state, 2, None), **done})]

    *_, (last,) = progress.show_runs(looks())
    assert last.state == "failed"
    told = capsys.readouterr().out.splitlines()
    assert told.count("answers__2013-06-13 task_1: success in 2.5 s (try 1)") == 1, "a change is told once"
    assert "answers__2013-06-13 task_0: failed (try 2)" in told
    table = io.StringIO()
    monkeypatch.setattr(progress, "out", Console(file=table, force_terminal=True, width=200))
    *_, (last,) = progress.show_runs(looks())
    shown = table.getvalue()
    assert ("19 success" in shown, "failed (try 2)" in shown) == (tasks > 10, tasks < 10)
    assert list(progress.show_runs(looks(), quiet=True))


@pytest.mark.parametrize("only", [None, "headline"])
def test_a_day_of_the_fleet_is_shown_line_by_line_and_as_a_table(monkeypatch, capsys, only):
    """Carriers by layers, what failed and what it took; of a part of the fleet only that part."""
    fleet = load_fleet()
    members = fleet.members_needed(only) if only else list(fleet.members)

    def looks():
        ended = [State(each, "success", "run", 12.3, "2013-06-14T00:00:00Z") for each in members[1:]]
        yield [
            State(members[0], "running", "run"),
            *(State(each, "none") for each in members[1:]),
        ]
        yield [State(members[0], "failed", "run", 4.0, "2013-06-14T00:00:00Z"), *ended]

    *_, last = progress.show_fleet(fleet, looks())
    assert len(last) == len(members)
    told = capsys.readouterr().out.splitlines()
    assert len(told) == len(members), "each is told once"
    assert told[0] == f"{members[0].dag_id}: failed in 4.0 s"
    assert f"{members[1].dag_id}: success in 12.3 s" in told
    table = io.StringIO()
    monkeypatch.setattr(progress, "out", Console(file=table, force_terminal=True, width=200))
    assert len(list(progress.show_fleet(fleet, looks()))) == 2
    shown = table.getvalue()
    assert f"{len(members)} of {len(members)} DAGs have ended" in shown
    assert "failed" in shown
    assert ("scorecard" in shown, "HA" in shown) == (only is None, only is None)
    assert list(progress.show_fleet(fleet, looks(), quiet=True))
    assert capsys.readouterr().out == ""


# -- what the demonstration prints


def test_evidence_stands_beside_its_claim_and_of_no_other(tmp_path):
    text = io.StringIO()
    demo = Demo(None, None, Console(file=text, width=200), [], lambda looks: looks)
    demo.evidence("q09", {"9.2": "seen by somebody"})
    assert "seen by somebody" in text.getvalue()
    assert "9.2" in text.getvalue()
    assert "9.3" not in text.getvalue()
    with pytest.raises(ValueError, match=r"q09 has no claim 8\.1"):
        demo.evidence("q09", {"8.1": "x"})


def test_the_feed_of_the_demonstration_lacks_one_airline_and_nothing_else(tmp_path):
    day = date(2013, 6, 13)
    q08.feed_without("UA", day, tmp_path / "feed")
    found = pd.read_csv(tmp_path / "feed" / "flights.csv")
    whole = expected.flights(day, day)
    assert len(found) == (whole["carrier"] != "UA").sum()
    assert set(found["carrier"]) == set(whole["carrier"]) - {"UA"}
    assert {each.name for each in (tmp_path / "feed").iterdir()} == {
        f"{name}.csv" for name in ("flights", "weather", "planes", "airports")
    }


PARTS_SHOWN = sorted(file.stem for file in (PROJECT / "answers" / "demo").glob("q*.py"))


@pytest.mark.parametrize("question", PARTS_SHOWN)
def test_every_part_of_the_demonstration_can_be_played(question):
    part = import_module(f"answers.demo.{question}")
    assert list(signature(part.play_part).parameters) == ["demo"]
    assert f"(question {int(question[1:])})" in part.__doc__


def test_a_question_without_a_part_of_the_demonstration_is_left_out(tmp_path):
    catalogue = load_questions()
    assert [each.id for each in demonstration.choose_questions(catalogue, [])] == PARTS_SHOWN
    for question in ("q01", "q04"):
        (tmp_path / f"{question}.py").touch()
    assert [each.id for each in demonstration.choose_questions(catalogue, [], tmp_path)] == ["q01", "q04"]
    assert [each.id for each in demonstration.choose_questions(catalogue, ["q04"], tmp_path)] == ["q04"]
    with pytest.raises(ValueError, match=r"^q05, q99 cannot be shown; there are q01, q04$"):
        demonstration.choose_questions(catalogue, ["q05", "q04", "q99"], tmp_path)


def test_tasks_that_run_at_the_same_time_are_counted():
    """One that begins as another ends does not run beside it; one that never ran does not count."""
    clock = "2013-06-13T00:00:{:02}+00:00".format
    spans = [(0, 10), (5, 15), (10, 20), (12, 13)]
    tasks = [{"start_date": clock(first), "end_date": clock(last)} for first, last in spans]
    assert q04._most_at_once([*tasks, {"start_date": None, "end_date": None}]) == 3
    assert q04._most_at_once([]) == 0


def test_a_secret_is_found_wherever_it_lies(tmp_path):
    (tmp_path / "logs" / "deep").mkdir(parents=True)
    (tmp_path / "logs" / "deep" / "a.log").write_bytes(b"\xff password=s3cret ")
    (tmp_path / "logs" / "b.log").write_text("nothing")
    assert q06._search_folders((tmp_path / "logs", tmp_path / "none"), ("s3cret", "other")) == (2, 1)


def test_the_demonstration_waits_only_so_long():
    shown = Demo(None, Settings.load(), Console(), [], iter)
    assert shown.wait_until(lambda: 7, "nothing") == 7
    with pytest.raises(ApiError, match=r"waited 0 s in vain for the end\nsee .*/logs/triggerer.log"):
        shown.wait_until(lambda: False, "the end", 0, log="triggerer")
