"""Errors that another try cannot mend: the retry policy of all DAGs fails their task at once."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import Connection, RetryAction

from include.flights import days, feed, generated, warehouse
from include.flights.contract import FeedMissing
from include.flights.publish import publish_day
from include.flights.versions import NothingToRestore
from include.flights.warehouse import CARRIERS, WarehouseUnavailable
from plugins import events, object_storage, secret_environment, webhook
from plugins.failures import RETRY_POLICY

NOON = datetime(2013, 6, 13, 12, tzinfo=UTC)
DAY = date(2013, 6, 13)


def action(error: Exception) -> RetryAction:
    """Return what the policy decides for the first of four tries."""
    return RETRY_POLICY.evaluate(error, 1, 4).action


def missing_package(monkeypatch, tmp_path):
    monkeypatch.setattr(feed, "package_folder", lambda name: None)
    feed.default_feed()


def missing_password(monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW_CONN_WITHOUT_PASSWORD", "http://user@localhost")
    secret_environment.look_up_secrets({"PASSWORD": "connections/without_password"})


CASES = {
    "empty-interval": (ValueError, lambda *_: days.local_days(NOON, NOON)),
    "part-of-a-day": (ValueError, lambda *_: days.local_days(NOON, NOON + timedelta(days=1))),
    "other-slice": (ValueError, lambda *_: publish_day(None, None, DAY, DAY, 1, "run", CARRIERS, {"origin": "JFK"})),
    "no-parquet": (FileNotFoundError, lambda _, folder: warehouse.load_parquet(None, "warehouse.flights", folder)),
    "no-generated-feed": (FileNotFoundError, lambda _, folder: generated.read_chunks(folder)),
    "no-feed-package": (FileNotFoundError, missing_package),
    "no-event": (LookupError, lambda *_: events.latest_of_day([SimpleNamespace(extra=None)], DAY)),
    "no-address": (ValueError, lambda *_: object_storage.object_at("/tmp/q03.json")),
    "unknown-protocol": (ValueError, lambda *_: object_storage.object_at("s4://bucket/q03.json")),
    "no-host": (ValueError, lambda *_: webhook.address(Connection(conn_id="ops", conn_type="http"), "/x")),
    "bad-host": (ValueError, lambda *_: webhook.address(Connection(conn_id="ops", conn_type="http", host="a:b"), "/x")),
    "no-password": (ValueError, missing_password),
}


@pytest.mark.parametrize(("base", "fail"), CASES.values(), ids=CASES)
def test_an_error_that_no_retry_mends_fails_its_task_at_once(base, fail, monkeypatch, tmp_path):
    with pytest.raises(base) as raised:
        fail(monkeypatch, tmp_path)
    assert action(raised.value) == RetryAction.FAIL, raised.value


def test_an_error_that_may_pass_is_retried():
    assert action(NothingToRestore("never published")) == RetryAction.FAIL
    for passing in (FeedMissing("not delivered yet"), WarehouseUnavailable("down"), ConnectionError("answer 503")):
        assert action(passing) == RetryAction.DEFAULT, passing
