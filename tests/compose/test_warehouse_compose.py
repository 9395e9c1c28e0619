"""ClickHouse's own server, by the list that the embedded warehouse is held against."""

from uuid import uuid4

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

    def test_a_query_is_killed_by_its_id(self, client, another):
        """Leave out a server that gives a query another id than the client's. ClickHouse's own does not."""
        asked = uuid4().hex
        known = client.query("SELECT query_id FROM system.processes", settings={"query_id": asked}).result_rows
        if (asked,) not in known:
            pytest.skip("what serves port 8123 here is a stand-in: it gives queries ids of its own")
        super().test_a_query_is_killed_by_its_id(client, another)
