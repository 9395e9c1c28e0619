"""ClickHouse's own server, by the list that the embedded warehouse is held against."""

import pytest

from support.warehouse_conformance import Conformance

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]


class TestServer(Conformance):
    """The list of tests/support/warehouse_conformance.py."""

    @pytest.fixture(scope="class")
    def endpoint(self, stack):
        """The server of the stack, at the port that only the tests' stack publishes."""
        host, port = stack.published("clickhouse", 8123).removeprefix("http://").split(":")
        password = stack.settings["CLICKHOUSE_PASSWORD"]
        return {"host": host, "port": int(port), "username": "answers", "password": password}
