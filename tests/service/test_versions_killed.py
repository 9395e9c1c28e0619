"""Kills publications and rollbacks between their steps: no version is lost."""

import subprocess
import sys

import pytest

from include.flights import versions
from support import HOME, open_warehouse
from support.editions import DAY, Editions, assert_live, events, publish


@pytest.fixture(scope="module")
def editions(tmp_path_factory):
    return Editions(tmp_path_factory)


@pytest.mark.claim("8.4")
@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_kill_between_the_tables_of_a_rollback_is_completed_by_the_retry(warehouse, editions, call):
    """SIGKILL after the first, second or third table; the retry has the same name, a person another one."""
    for without in ("", "UA", "B6"):
        publish(warehouse, editions(without))
    warehouse.close()  # the child needs the engine
    code = f"""
import os, signal, clickhouse_connect
from datetime import date
from include.flights import versions
real, calls = versions.replace_partition, []
def killed(*args):
    real(*args)
    calls.append(1)
    if len(calls) == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
versions.replace_partition = killed
client = clickhouse_connect.get_client(interface="chdb", path={str(HOME / "warehouse")!r})
versions.rollback_day(client, date({DAY.year}, {DAY.month}, {DAY.day}), "task of a run")
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == -9
    with open_warehouse() as client:
        if call == 1:
            with pytest.raises(AssertionError):
                assert_live(client, "UA")
        by = "a person" if call == 2 else "task of a run"
        assert versions.rollback_day(client, DAY, by)["to"] == 2
        assert_live(client, "UA")


@pytest.mark.claim("8.4")
def test_a_publication_that_is_killed_while_it_keeps_its_version_costs_none(warehouse, editions):
    for without in ("", "UA", "B6", "EV"):
        publish(warehouse, editions(without))
    folder, rows = editions("DL")
    warehouse.close()
    code = f"""
import os, signal, clickhouse_connect
from datetime import date
from pathlib import Path
from include.flights import versions, warehouse
from include.flights import publish
real = versions.replace_partition
def killed(*args):
    real(*args)
    os.kill(os.getpid(), signal.SIGKILL)
versions.replace_partition = killed
client = clickhouse_connect.get_client(interface="chdb", path={str(HOME / "warehouse")!r})
day = date({DAY.year}, {DAY.month}, {DAY.day})
publish.publish_day(client, Path({str(folder)!r}), day, day, {rows}, "run")
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == -9
    with open_warehouse() as client:
        assert_live(client, "EV")
        assert versions.rollback_day(client, DAY, "the oldest", to=1)["to"] == 1, "its slot was not overwritten"
        publish(client, (folder, rows))
        assert_live(client, "DL")
        assert events(client)[-1] == ("publish", 5, 1)
