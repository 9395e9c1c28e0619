"""The embedded warehouse as a process of its own: what ClickHouse's server does, it does."""

import psutil
import pytest

from answers.stack.warehouse.__main__ import LEAST_DISK, LEAST_MEMORY
from support.warehouse_conformance import Conformance
from support.warehouse_server import Server


class TestEmbedded(Conformance):
    """The list of tests/support/warehouse_conformance.py."""

    @pytest.fixture(scope="class")
    def endpoint(self, tmp_path_factory):
        """One warehouse for all of them. Its log must not have its password."""
        server = Server(tmp_path_factory.mktemp("served") / "home")
        yield server.endpoint
        assert server.stop() == 0
        assert server.endpoint["password"] not in server.log.read_text()

    def test_every_query_has_limits_without_asking_for_them(self, client):
        names = ("max_memory_usage", "max_memory_usage_for_user", "min_free_disk_bytes_to_perform_insert")
        ((one, all_, disk),) = client.query(
            f"SELECT {', '.join(f'getSetting({name!r})' for name in names)}"
        ).result_rows
        assert LEAST_MEMORY <= one <= all_ <= max(psutil.virtual_memory().total, LEAST_MEMORY)
        assert disk == LEAST_DISK
