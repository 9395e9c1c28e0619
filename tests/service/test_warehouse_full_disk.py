"""The embedded warehouse on a disk that fills up: an error that says what to do, nothing half there, and it goes on."""

import os
import subprocess

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from answers.stack.warehouse.__main__ import LEAST_DISK
from support.warehouse_server import Server

DISK = LEAST_DISK + (64 << 20)
ROWS = 200_000  # of 100 random bytes: 20 MB
INSERT = "INSERT INTO {} SELECT '2013-01-01', number, randomString(100) FROM numbers({})"
REPLACE = "ALTER TABLE live REPLACE PARTITION '2013-01-01' FROM staged"
NO_GUARD = {"min_free_disk_bytes_to_perform_insert": 0}


@pytest.fixture
def server(tmp_path):
    """A warehouse whose home is a small disk of its own."""
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", home], check=True)
    try:
        server = Server(home)
        try:
            yield server
        finally:
            server.stop()
    finally:
        subprocess.run(["umount", "--lazy", home], check=True)


def leave(server, room: int) -> None:
    """Fill the disk but for so many bytes."""
    with (server.home / "filler").open("ab") as file:
        disk = os.statvfs(server.home)
        if (size := disk.f_bavail * disk.f_frsize - room) > 0:
            os.posix_fallocate(file.fileno(), file.tell(), size)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_what_finds_no_room_says_so_leaves_what_was_there_and_passes_once_there_is_room(server):
    with server.client() as client:

        def contents(table: str) -> list:
            return client.query(f"SELECT count(), sum(cityHash64(*)) FROM {table}").result_rows

        for table, rows in (("live", 1000), ("staged", 500)):
            columns = "(d Date, n UInt32, text String)"
            client.command(f"CREATE TABLE {table} {columns} ENGINE = MergeTree PARTITION BY d ORDER BY n")
            client.command(INSERT.format(table, rows))
        live, staged = contents("live"), contents("staged")
        for room, sql, settings in (
            (LEAST_DISK - (1 << 20), INSERT.format("live", 1), {}),  # refused before it begins
            (4 << 20, INSERT.format("live", ROWS), NO_GUARD),
            (0, INSERT.format("live", 1), NO_GUARD),
            (0, REPLACE, {}),
        ):
            leave(server, room)
            with pytest.raises(DatabaseError, match="make room on it, then send the statement again") as refused:
                client.command(sql, settings=settings)
            assert (refused.value.code, refused.value.name) == (243, "NOT_ENOUGH_SPACE")
            assert (contents("live"), contents("staged")) == (live, staged)
        (server.home / "filler").unlink()
        client.command(REPLACE)
        assert contents("live") == staged
        client.command(INSERT.format("live", 100))
        assert contents("live")[0][0] == 600
