"""Kills the embedded warehouse in the middle of an insert, a query, a REPLACE PARTITION: nothing is lost or half there."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, Error

from support import wait_for
from support.warehouse_conduct import ENDLESS, running
from support.warehouse_server import Server

ROWS = 1000  # of a partition
SEED = 18


@pytest.fixture
def server(tmp_path):
    """A warehouse of its own."""
    server = Server(tmp_path / "home")
    yield server
    server.stop()


def test_an_insert_that_is_killed_is_all_there_or_not_at_all(server):
    """The client sends the data in two halves; the kill comes between them, or just behind the second one."""
    with server.client() as client:
        client.command("CREATE TABLE t (who UInt32, n UInt32) ENGINE = MergeTree ORDER BY (who, n)")
        client.raw_insert("t", ["who", "n"], b"".join(b"0,%d\n" % n for n in range(ROWS)), fmt="CSV")
    for who in (1, 2, 3):
        at_half = threading.Event()
        killed = threading.Event()

        def halves(who=who, at_half=at_half, killed=killed):
            lines = [b"%d,%d\n" % (who, n) for n in range(ROWS)]
            yield b"".join(lines[: ROWS // 2])
            at_half.set()
            if who == 1:
                killed.wait()
            yield b"".join(lines[ROWS // 2 :])

        with ThreadPoolExecutor(1) as thread:
            client = server.client()
            sent = thread.submit(client.raw_insert, "t", ["who", "n"], halves(), fmt="CSV")
            at_half.wait()
            server.kill()
            killed.set()
            failed = isinstance(sent.exception(), Error)
            client.close()
        server.start()
        with server.client() as client:
            counts = dict(client.query("SELECT who, count() FROM t GROUP BY who").result_rows)
        assert counts[0] == ROWS
        assert counts.get(who, 0) in ((0, ROWS) if failed else (ROWS,)), "what was confirmed is there"
        assert who != 1 or counts.get(who, 0) == 0


def test_a_query_that_is_killed_fails_and_the_next_one_finds_everything(server):
    with server.client() as client, ThreadPoolExecutor(1) as thread:
        client.command("CREATE TABLE t ENGINE = MergeTree ORDER BY n AS SELECT number AS n FROM numbers(1000)")
        asked = thread.submit(server.client().query, ENDLESS.format(mark="to-be-killed"))
        wait_for("the query to run", lambda: running(client, "to-be-killed"))
        server.kill()
        assert isinstance(asked.exception(), Error)
    server.start()
    with server.client() as client:
        assert client.query("SELECT count(), sum(n) FROM t").result_rows == [(1000, 499_500)]


def test_it_ends_in_order_though_a_query_runs(server):
    with server.client() as client, ThreadPoolExecutor(1) as thread:
        client.command("CREATE TABLE t ENGINE = MergeTree ORDER BY n AS SELECT number AS n FROM numbers(1000)")
        asked = thread.submit(server.client().query, ENDLESS.format(mark="to-be-ended"))
        wait_for("the query to run", lambda: running(client, "to-be-ended"))
        assert server.stop() == 0
        failed = asked.exception()
    assert isinstance(failed, DatabaseError)
    assert (failed.code, failed.name) == (394, "QUERY_WAS_CANCELLED")
    assert "the warehouse is being stopped: send the statement again once it is up" in str(failed)
    log = server.log.read_text()
    assert "394 QUERY_WAS_CANCELLED" in log
    assert not [word for word in ("Traceback", "CancelledError", "Exception in ASGI") if word in log], log
    server.start()
    with server.client() as client:
        assert client.query("SELECT count(), sum(n) FROM t").result_rows == [(1000, 499_500)]


@pytest.mark.claim("1.4")
def test_a_replaced_partition_is_the_old_or_the_new_one_after_any_kill(server):
    """Replacements follow each other, each kill comes at its own moment: the last confirmed version is there, or the next."""
    chance = random.Random(SEED)
    with server.client() as client:
        for table in ("live", "staged"):
            client.command(
                f"CREATE TABLE {table} (d Date, v UInt32, n UInt32) ENGINE = MergeTree PARTITION BY (d, n % 2) ORDER BY n"
            )
    confirmed = 0

    def replace_on_and_on(over: threading.Event) -> int:
        version = confirmed
        with server.client() as client:
            try:
                while not over.is_set():
                    client.command("TRUNCATE TABLE staged")
                    sql = f"INSERT INTO staged SELECT '2013-01-01', {version + 1}, number FROM numbers({2 * ROWS})"
                    client.command(sql)
                    for half in (0, 1):
                        client.command(f"ALTER TABLE live REPLACE PARTITION ('2013-01-01', {half}) FROM staged")
                    version += 1
            except Error:
                pass
        return version

    for _ in range(8):
        over = threading.Event()
        with ThreadPoolExecutor(1) as thread:
            replacing = thread.submit(replace_on_and_on, over)
            notes = server.home / "warehouse.replacing"
            wait_for("a replacement", lambda notes=notes: any(notes.glob("*.json")), pause=0.002)
            time.sleep(chance.uniform(0, 0.2))  # the moment of the kill
            server.kill()
            over.set()
            confirmed = replacing.result()
        server.start()
        with server.client() as client:
            sql = "SELECT n % 2 AS half, count(), min(v), max(v) FROM live GROUP BY half ORDER BY half"
            halves = client.query(sql).result_rows
        for _, rows, first, last in halves:
            assert (rows, first) == (ROWS, last), halves
            assert first in (confirmed, confirmed + 1), (halves, confirmed)
        assert len(halves) == 2 or confirmed == 0


def test_a_second_warehouse_of_the_same_folder_says_what_is_in_the_way(server, tmp_path):
    import subprocess
    import sys

    from support import PROJECT

    code = (
        "import sys; from pathlib import Path; from answers.stack.warehouse.__main__ import serve; "
        "serve(Path(sys.argv[1]), 0, 'x')"
    )
    command = [sys.executable, "-c", code, str(server.settings.warehouse)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"is served by process {server.process.pid} already" in done.stderr
