"""The embedded warehouse as a process of its own: what ClickHouse's server does, it does."""

import pytest

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
