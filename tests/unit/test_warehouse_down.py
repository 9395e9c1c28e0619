"""Opens the warehouse while it is down, and when it comes."""

import logging

import pytest

from answers.stack import parts
from answers.stack.settings import Settings
from include.flights import warehouse


class Client:
    """A client that remembers whether it was closed."""

    closed = False

    def close(self):
        self.closed = True


@pytest.mark.claim("1.5")
def test_a_warehouse_that_is_down_is_waited_for_and_then_a_clear_error():
    import clickhouse_connect

    def get_client():
        return clickhouse_connect.get_client(host="127.0.0.1", port=1, connect_timeout=1)

    with (
        pytest.raises(warehouse.WarehouseUnavailable, match=r"the warehouse does not answer: .*refused"),
        warehouse.connect(get_client, patience=0.1),
    ):
        pass


@pytest.mark.claim("1.5")
def test_connect_waits_for_the_warehouse(caplog):
    client, tries = Client(), []

    def get_client():
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionRefusedError("not yet")
        return client

    with caplog.at_level(logging.WARNING), warehouse.connect(get_client, patience=60) as opened:
        assert opened is client
        assert not client.closed
    assert client.closed
    assert [record.getMessage() for record in caplog.records] == ["waiting, the warehouse does not answer: not yet"]


def test_status_names_another_clickhouse_that_does_not_answer(home, monkeypatch):
    settings, _ = Settings.load().with_ports()
    assert parts.health(settings)["warehouse"] == "no answer"
    monkeypatch.setenv("ANSWERS_CLICKHOUSE", "127.0.0.1:1")
    assert parts.health(settings)["warehouse"] == "no answer from 127.0.0.1:1 (ANSWERS_CLICKHOUSE)"
