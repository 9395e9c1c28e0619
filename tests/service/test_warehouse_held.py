"""Opens the warehouse while another process holds it, and while its server is down."""

import os
import subprocess
import sys
import threading

import pytest

from include.flights import warehouse as loader
from support import HOME, PROJECT, open_warehouse


@pytest.mark.claim("1.5")
def test_a_held_warehouse_is_waited_for_and_then_named(tmp_path):
    path = tmp_path / "held"
    code = f"""
import clickhouse_connect, sys
client = clickhouse_connect.get_client(interface="chdb", path={str(path)!r})
print("held", flush=True)
sys.stdin.read()
"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"

        def never():
            raise AssertionError("must not be opened while another process holds it")

        with (
            pytest.raises(loader.WarehouseUnavailable, match=f"held by process {holder.pid}"),
            loader.connect(never, str(path), patience=1),
        ):
            pass
        threading.Timer(0.5, holder.stdin.close).start()  # lets go while the next one waits
        opened = []

        class Client:
            def command(self, sql):
                opened.append(sql)

            def close(self):
                opened.append("closed")

        with loader.connect(Client, str(path), patience=60):
            pass
        assert opened == ["SELECT 1", "closed"]
    finally:
        holder.stdin.close() if not holder.stdin.closed else None
        holder.wait(30)


def test_processes_that_open_at_the_same_moment_wait_for_each_other_without_a_word(tmp_path):
    """Each has imported everything, and opens when it is told."""
    code = f"""
import clickhouse_connect, sys
from include.flights import warehouse
path = {str(tmp_path / "new" / "warehouse")!r}
print("ready", flush=True)
sys.stdin.readline()
with warehouse.connect(lambda: clickhouse_connect.get_client(interface="chdb", path=path), path) as client:
    print(client.command("SELECT 1"), flush=True)
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    openers = [subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, text=True, **pipes) for _ in range(4)]
    try:
        for each in openers:
            assert each.stdout.readline() == "ready\n", each.stderr.read()
        for each in openers:
            each.stdin.write("go\n")
            each.stdin.flush()
        answers = [each.communicate(timeout=120) for each in openers]
    finally:
        for each in openers:
            each.kill()
    assert [out for out, _ in answers] == ["1\n"] * 4
    assert "Code: 76" not in "".join(err for _, err in answers)


def test_a_process_does_not_wait_for_its_own_client(warehouse):
    """Connect again beside a client that a task has left open: the process holds the engine, and can open it again."""
    path = HOME / "warehouse"
    assert loader.held_by(path) is None
    in_another = (
        "import sys; from include.flights import warehouse; print(warehouse.held_by(warehouse.Path(sys.argv[1])))"
    )
    seen = subprocess.run(
        [sys.executable, "-c", in_another, path], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    assert seen.stdout == f"process {os.getpid()}\n"
    with open_warehouse() as other, loader.connect(lambda: other, str(path), patience=1) as client:
        assert client.command("SELECT 1") == 1


@pytest.mark.claim("1.5")
def test_a_server_that_is_down_is_a_clear_error():
    import clickhouse_connect

    def get_client():
        return clickhouse_connect.get_client(host="127.0.0.1", port=1, connect_timeout=1)

    with (
        pytest.raises(loader.WarehouseUnavailable, match="the warehouse does not answer"),
        loader.connect(get_client, patience=1),
    ):
        pass
