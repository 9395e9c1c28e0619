"""The parts of the embedded stack that are not Airflow's, under their real supervisor: PostgreSQL and the parameter store."""

import json
import os
import signal
import socket
import subprocess
import sys

import psutil
import pytest
from typer.testing import CliRunner

from answers.cli import app as cli
from answers.operate import fernet, kills
from answers.stack import bundles, dotenv, health, kafka, lifecycle, metadata, parts, postgres, preflight, processes
from answers.stack.settings import Settings
from support import PROJECT, wait_for


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A supervisor with what it starts by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANSWERS_HOME", str(tmp_path_factory.mktemp("parts") / "home"))
        patch.setenv("ANSWERS_MIN_MEMORY", "0")
        patch.setenv("COLUMNS", "300")
        patch.delenv("AIRFLOW_CONN_CLICKHOUSE_DEFAULT", raising=False)
        said = []
        settings = lifecycle._start_supervisor(Settings.load(), said.append)
        try:
            assert "starting PostgreSQL and Airflow" in said
            yield settings
        finally:
            lifecycle.down(said.append)
        assert processes.stack_processes(settings) == []


@pytest.fixture
def up(settings):
    """The same, once both parts answer."""
    parts.wait_for("postgres", lambda: metadata.is_answering(settings), settings, 60, print)
    parts.wait_for(
        "parameter-store", lambda: parts.is_served(f"{settings.parameter_store}/requests"), settings, 60, print
    )
    return settings


def states(settings) -> dict[str, str]:
    return {part["part"]: part["state"] for part in parts.status(settings)}


def answers(*arguments: str, code: int = 0, **options) -> str:
    done = CliRunner().invoke(cli.app, arguments, **options)
    assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
    return done.output


def test_what_starts_by_itself_runs_and_airflow_does_not(up):
    found = states(up)
    assert {part for part, state in found.items() if state == "RUNNING"} >= {"postgres", "parameter-store"}
    assert {found[part] for part in parts.AIRFLOW_PARTS} == {"STOPPED"}
    assert not parts.healthy(up)
    assert parts.health(up) == {"api-server": "no answer (ConnectError)", "warehouse": "no answer"}
    told = " ".join(answers("status", code=1).split())
    assert "incomplete: 2 of 8 parts run; warehouse STOPPED, catcher STOPPED, api-server STOPPED" in told
    assert "MB" in told
    document = json.loads(answers("status", "--json", code=1))
    assert document["state"] == "incomplete"
    assert (document["running"], document["health"]) == (False, parts.health(up))
    assert f"{up.url}  user admin, password {up.secrets['ADMIN_PASSWORD']}" in answers("open", "--print")


def test_airflows_own_command_line_has_the_stacks_settings(up):
    command = [sys.executable, "-m", "answers", "airflow", "config", "get-value", "core", "executor"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    assert done.stdout.splitlines()[-1:] == ["LocalExecutor"], done.stderr


def test_postgresql_wants_its_password_and_listens_on_loopback_only(up):
    import psycopg2

    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(host="127.0.0.1", port=up.ports["postgres"], user="airflow", password="x", dbname="postgres")
    pid = postgres.running(up.home / "postgres")
    listening = [each.laddr.ip for each in psutil.net_connections("tcp") if each.pid == pid and each.status == "LISTEN"]
    assert listening == ["127.0.0.1"]


def test_a_part_that_is_killed_comes_back(up):
    before = postgres.running(up.home / "postgres")
    os.kill(before, signal.SIGKILL)
    wait_for("PostgreSQL", lambda: postgres.running(up.home / "postgres") not in (None, before))
    wait_for("its answer", lambda: metadata.is_answering(up))


@pytest.mark.parametrize("content", ["", "no number", "1\n", f"{2**22}\n"])
def test_a_pid_file_of_another_time_is_forgotten(tmp_path, content):
    (tmp_path / "postmaster.pid").write_text(content)
    assert postgres.running(tmp_path) is None
    postgres.forget_stale_pid(tmp_path)
    assert not (tmp_path / "postmaster.pid").exists()


def test_secrets_are_listed_and_rotated_without_being_shown(up):
    names = answers("secrets", "list")
    assert "/answers/connections/clickhouse_default" in names
    assert "version 1 " in names
    assert "q06_partner is version 2" in answers("secrets", "rotate", "q06_partner")
    secret = "a-value-of-somebodys"
    told = answers("secrets", "rotate", "q06_partner", "--stdin", input=f"{secret}\n")
    assert "version 3" in told
    assert secret not in told
    assert "/answers/connections/q06_partner" in answers("secrets", "seed")
    assert "not kept in the parameter store" in answers("secrets", "rotate", "nobody", code=1)


def test_kafka_is_not_there_until_it_is_asked_for(up):
    assert not kafka.is_answering(up.ports["kafka"])
    assert "kafka" not in states(up)
    kafka.stop(up, "kafka")
    assert kills._task_processes(up, "task") == kills._task_processes(up, "worker") == []
    assert kills._kill_part(up, "kafka", None) is None


def test_kafka_is_started_killed_comes_back_and_is_stopped(up):
    said = []
    kafka.up(up, said.append)
    port = up.ports["kafka"]
    assert said[-1] == f"Kafka listens on 127.0.0.1:{port}", "before it, that a slow start is waited for"
    assert states(up)["kafka"] == "RUNNING"
    kafka.start(up, "kafka")
    (kill,) = kills.carry_out(up, [kills.Kill(0, "kafka")], 1, said.append)
    assert kill.part == "kafka"
    pid = int(said[-1].rpartition("(")[2].rstrip(")"))
    assert said[-1].endswith(f"SIGKILL kafka ({pid})")
    wait_for("its end", lambda: not psutil.pid_exists(pid))
    wait_for("the broker to come back", lambda: kafka.is_answering(up.ports["kafka"]), 60)
    kafka.stop(up, "kafka")
    assert not kafka.is_answering(up.ports["kafka"])
    assert "kafka" not in states(up)
    assert "does not answer" in answers("kafka", "down", code=1), "Airflow, whose DAGs it would pause"


def test_the_metadata_database_is_made_once_and_its_values_are_encrypted(up, monkeypatch):
    import psycopg2

    said = []
    for _ in range(2):
        metadata.prepare(up, said.append)
        assert said == ["creating the metadata database"]
    texts = dict(fernet.encrypted_texts(up))
    assert len(texts) > 3
    assert {where.split()[0] for where in texts} == {"variable"}
    other = dotenv.KEYS["FERNET_KEY"]()
    assert all(fernet.can_decrypt(text, up.secrets["FERNET_KEY"]) for text in texts.values())
    assert not any(fernet.can_decrypt(text, other) for text in texts.values())

    # A container's scheduler is healthy as long as its heart beats.
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", up.database())
    assert not health.job("scheduler")
    server = psycopg2.connect(metadata.dsn(up, "airflow"))
    server.autocommit = True
    with server.cursor() as cursor:
        row = ("SchedulerJob", "running", socket.gethostname())
        cursor.execute("INSERT INTO job (job_type, state, hostname, latest_heartbeat) VALUES (%s, %s, %s, now())", row)
        assert health.job("scheduler")
        assert not health.job("triggerer")
        cursor.execute(
            "UPDATE job SET latest_heartbeat = now() - %s * interval '1 second'", (health.STALE_SECONDS + 1,)
        )
        assert not health.job("scheduler")
    server.close()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("demo", "q99"), 1),
        (("demo", "--from", "2013-02-09", "--to", "2013-02-08"), 1),
        (("demo", "--from", "yesterday"), 1),
        (("up", "--dags", "git"), 1),
        (("run", "q01", "--date", "2013-06-13"), 1),
    ],
)
def test_a_command_that_is_refused_leaves_the_stack_of_another_as_it_is(up, arguments, code):
    before = {part["part"]: part["pid"] for part in parts.status(up)}
    command = [sys.executable, "-m", "answers", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == code, done.stderr
    assert "answers: " in done.stderr
    assert {part["part"]: part["pid"] for part in parts.status(up)} == before
    assert before["postgres"]
    assert bundles.dags_source(up.home) == "local"


@pytest.mark.parametrize(("arguments", "number"), [(("up",), signal.SIGINT), (("demo", "q01"), signal.SIGTERM)])
def test_a_command_that_is_interrupted_leaves_the_stack_of_another_as_it_is(up, arguments, number):
    """It is caught where it waits for PostgreSQL, which does not answer in the meantime."""
    before = {part["part"]: part["pid"] for part in parts.status(up)}
    server = psutil.Process(postgres.running(up.home / "postgres"))
    server.suspend()
    try:
        command = subprocess.Popen([sys.executable, "-m", "answers", *arguments], cwd=PROJECT)
        wait_for("the command to work on the stack", lambda: lifecycle.work_under_way(up) == "starting")
        assert "starting: 2 of 8 parts run" in answers("status", code=1)
        command.send_signal(number)
        assert command.wait(60) == 130
    finally:
        server.resume()
    assert {part["part"]: part["pid"] for part in parts.status(up)} == before


def test_a_stack_that_ran_before_is_nobodys_to_stop(up, monkeypatch):
    assert processes.started_by_this_process(up)
    monkeypatch.setattr(processes, "THIS_PROCESS", "another one")
    before = processes.supervisor_process(up).pid
    with lifecycle.stop_if_started_within(print):
        pass
    assert processes.supervisor_process(up).pid == before


@pytest.mark.parametrize(
    ("states", "work", "healthy", "condition"),
    [
        (["STOPPED", "STOPPED"], None, False, "not running"),
        (["STOPPED", "STOPPED"], "starting", False, "starting"),
        (["RUNNING", "RUNNING"], "stopping", True, "stopping"),
        (["RUNNING", "STARTING"], None, True, "starting"),
        (["RUNNING", "BACKOFF"], None, False, "starting"),
        (["RUNNING", "FATAL"], None, False, "incomplete"),
        (["RUNNING", "UNKNOWN"], None, False, "incomplete"),
        (["RUNNING", "RUNNING"], None, False, "not healthy"),
        (["RUNNING", "RUNNING"], None, True, "running"),
    ],
)
def test_the_condition_of_the_stack_follows_from_its_parts(states, work, healthy, condition):
    assert parts.overall_state([{"state": state} for state in states], work, healthy) == condition


def test_a_part_that_does_not_come_up_is_named_with_its_log(up):
    (up.home / "logs" / "catcher.log").write_text("the last words\n")
    with pytest.raises(parts.StackError, match=r"(?s)waited 0 s in vain for catcher.*the last words"):
        parts.wait_for(
            "catcher", lambda: parts.is_served(f"http://127.0.0.1:{up.ports['catcher']}/health"), up, 0, print
        )


def test_a_second_supervisor_finds_what_a_killed_one_left(settings):
    """The last test of the file: it kills."""
    left = processes.stack_processes(settings)
    assert processes.lost_processes(settings) == []
    processes.supervisor_process(settings).kill()
    wait_for("its end", lambda: processes.supervisor_process(settings) is None)
    assert processes.lost_processes(settings)
    said = []
    with lifecycle.stop_if_started_within(said.append):
        again = lifecycle._start_supervisor(settings, said.append)
        assert any("processes that a crash left behind" in line for line in said)
        assert not any(each.is_running() for each in left)
        parts.wait_for("postgres", lambda: metadata.is_answering(again), again, 60, print)
    assert said[-1] == "stopping the stack"
    assert processes.stack_processes(settings) == []


# -- the schedule of kills


def test_a_schedule_of_kills_is_the_same_for_a_seed_and_spares_no_part():
    plan = kills.make_schedule(7, 18, 60)
    assert plan == kills.make_schedule(7, 18, 60) != kills.make_schedule(8, 18, 60)
    assert [each.at for each in plan] == sorted(each.at for each in plan)
    parts = len(kills.PARTS)
    for first in range(0, 18 - parts, parts):
        assert {each.part for each in plan[first : first + parts]} == set(kills.PARTS)


# -- before there is anything


def test_preflight_finds_this_machine_fit_and_says_what_another_lacks(monkeypatch):
    assert preflight.problems() == []
    assert preflight.memory_available() > 1 << 20
    monkeypatch.setattr(preflight, "NEWEST", (3, 10))
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(preflight, "VENV", PROJECT / "nowhere")
    monkeypatch.setattr(preflight, "DISK", 1 << 62)
    for words in ("is not supported: install Python", "WSL on Windows", "of free disk", "cannot be written"):
        assert any(words in found for found in preflight.problems())


def test_preflight_is_done_at_once_where_the_environment_is_that_of_the_lock():
    script = PROJECT / "answers/stack/preflight.py"
    done = subprocess.run([sys.executable, "-I", str(script), "--help"], capture_output=True, text=True)
    assert (done.returncode, "make setup" in done.stdout) == (0, True)
    assert preflight.locked("uv").startswith("uv==")
    assert preflight.digest() == preflight.digest()
