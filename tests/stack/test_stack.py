"""The embedded stack itself: loopback, secrets, recovery from kills, a clean end. These tests come last: they kill."""

import contextlib
import os
import signal
import stat
import subprocess

import psutil

from support import PROJECT, wait_for


def test_everything_listens_on_loopback_only(stack):
    pids = {process.pid for process in stack.processes()}
    listening = [c for c in psutil.net_connections("inet") if c.status == "LISTEN" and c.pid in pids]
    always = {port for part, port in stack.settings.ports.items() if not part.startswith("kafka")}  # which is on demand
    assert {c.laddr.port for c in listening} >= always
    assert {c.laddr.ip for c in listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_the_api_wants_a_password(stack):
    import httpx

    url = stack.settings.url
    assert httpx.get(f"{url}/api/v2/dags").status_code == 401
    body = {"username": "admin", "password": "admin"}
    assert httpx.post(f"{url}/auth/token", json=body).status_code == 401


def test_secrets_are_private_and_reach_no_log(stack):
    settings = stack.settings
    for name in ("secrets.env", "passwords.json"):
        assert stat.S_IMODE((stack.home / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(stack.home.stat().st_mode) == 0o700
    for log in (stack.home / "logs").rglob("*.log"):
        text = log.read_text(errors="replace")
        assert not [name for name, secret in settings.secrets.items() if secret in text], log


def test_status_as_json_tells_every_part(stack):
    import json

    status = json.loads(stack.answers("status", "--json").stdout)
    assert status["running"]
    assert status["url"] == stack.settings.url
    assert {part["part"] for part in status["parts"]} == {
        "postgres",
        "parameter-store",
        "warehouse",
        "catcher",
        "api-server",
        "scheduler",
        "dag-processor",
        "triggerer",
    }


def test_a_second_up_finds_the_stack_running(stack):
    before = {part["pid"] for part in _parts(stack)}
    stack.answers("up")
    assert {part["pid"] for part in _parts(stack)} == before


def test_killed_parts_come_back_by_themselves(stack):
    before = {part["part"]: part["pid"] for part in _parts(stack)}
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    wait_for("every part to run again", lambda: _renewed(stack, before) and stack.healthy(), patience=180)


def test_up_recovers_from_a_killed_supervisor(stack):
    from answers.stack import processes

    orphans = stack.processes()
    processes.supervisor_process(stack.settings).kill()
    done = stack.answers("up")
    assert "processes that a crash left behind" in done.stdout
    assert not [process for process in orphans if process.is_running()]
    assert stack.healthy()


def test_a_half_made_database_is_made_anew_and_ctrl_c_leaves_no_process(new_stack):
    stack = new_stack()
    first = subprocess.Popen(stack.command("up"), env=stack.environment, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    try:
        wait_for("the database to be in the making", lambda: "creating" in first.stdout.readline())
        wait_for("the migration to write", lambda: (stack.home / "logs" / "bootstrap.log").exists())
    finally:
        first.kill()
        for process in stack.processes():
            with contextlib.suppress(psutil.NoSuchProcess):  # gone with the one before
                process.kill()
        first.wait()
    second = subprocess.Popen(
        stack.command("up", "--foreground"), env=stack.environment, cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    wait_for("the stack to be up", lambda: "Airflow is up" in second.stdout.readline())
    assert stack.healthy()
    processes = stack.processes()
    assert len(processes) > 10
    second.send_signal(signal.SIGINT)
    assert second.wait(90) == 0
    assert not [process for process in processes if process.is_running()]
    assert not stack.processes()


def _parts(stack):
    from answers.stack import parts

    return parts.status(stack.settings)


def _renewed(stack, before) -> bool:
    return all(part["pid"] and part["pid"] != before[part["part"]] for part in _parts(stack))
