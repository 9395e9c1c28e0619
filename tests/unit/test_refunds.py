"""Question 9's first tier: the refunds without Airflow. Clock and receiver are arguments; the SQL runs on a real engine."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from airflow.sdk import Connection
from hypothesis import given
from hypothesis import strategies as st

from include import refunds
from include.flights import warehouse as loader
from plugins.webhook import address, poster
from support import PROJECT, catching, expected

DAY = date(2013, 6, 13)
NEW_YORK = ZoneInfo("America/New_York")
ROWS = [{"carrier": "B6", "cancelled": 3, "late": 2}, {"carrier": "UA", "cancelled": 0, "late": 1}]


def at(instant: str):
    """A clock that stands still."""
    return lambda: datetime.fromisoformat(instant)


# -- the clock


@pytest.mark.claim("9.2")
@pytest.mark.parametrize(
    ("instant", "days_left"),
    [
        ("2013-06-13T12:00:00-04:00", 20),
        ("2013-07-03T23:59:59-04:00", 0),
        ("2013-07-04T03:59:59+00:00", 0),  # in New York it is still the 3rd
        ("2013-07-04T00:00:00-04:00", -1),
        ("2013-07-04T09:00:00+09:00", 0),
    ],
)
def test_a_refund_is_overdue_once_its_last_day_has_ended_in_new_york(instant, days_left):
    for notice in refunds.make_notices(ROWS, DAY, at(instant)):
        assert (notice["pay_by"], notice["days_left"]) == ("2013-07-03", days_left)


@pytest.mark.claim("9.2")
@given(
    local=st.datetimes(datetime(2013, 1, 1), datetime(2014, 12, 31)),
    zone=st.integers(-12 * 60, 14 * 60),
)
def test_the_days_left_depend_on_the_instant_alone_not_on_where_the_clock_stands(local, zone):
    instant = local.replace(tzinfo=NEW_YORK).astimezone(UTC)
    elsewhere = instant.astimezone(timezone(timedelta(minutes=zone)))
    (notice,) = refunds.make_notices(ROWS[:1], DAY, lambda: elsewhere)
    there = instant.astimezone(NEW_YORK).date()  # an hour that spring skips is another local time
    assert notice["days_left"] == (date(2013, 7, 3) - there).days


@pytest.mark.claim("9.2")
def test_without_another_clock_it_is_the_machines():
    before = datetime.now(UTC)
    now = refunds.make_clock("")()
    assert before <= now <= datetime.now(UTC)
    assert refunds.make_clock()() >= now, "it goes on"


@pytest.mark.claim("9.2")
def test_a_clock_that_stands_still_needs_an_offset():
    assert refunds.make_clock("2013-07-03T12:00:00-04:00")() == datetime(2013, 7, 3, 16, tzinfo=UTC)
    with pytest.raises(ValueError, match="2013-07-03T12:00:00 has no offset from UTC"):
        refunds.make_clock("2013-07-03T12:00:00")


# -- the receiver


def test_every_notice_is_posted_with_an_id_of_its_own():
    posted = []
    found = refunds.make_notices(ROWS, DAY, at("2013-07-04T12:00:00-04:00"))
    assert refunds.send_notices(found, lambda *call: posted.append(call)) == {"notices": 2, "flights": 6, "overdue": 2}
    assert [path for path, _ in posted] == ["/refunds"] * 2
    assert [(body["id"], body["cancelled"], body["late"]) for _, body in posted] == [
        ("2013-06-13-B6", 3, 2),
        ("2013-06-13-UA", 0, 1),
    ]


@pytest.mark.claim("9.2")
def test_a_notice_that_is_refused_keeps_no_other_back_and_is_an_error():
    posted = []

    def post(path, body):
        if body["carrier"] == "B6":
            raise ConnectionError("answer 503")
        posted.append(body["carrier"])

    with pytest.raises(ConnectionError, match=r"1 of 2 notices were not taken: B6 \(answer 503\)"):
        refunds.send_notices(refunds.make_notices(ROWS, DAY, at("2013-06-14T12:00:00Z")), post)
    assert posted == ["UA"]


def test_an_error_that_is_no_receivers_is_not_taken_for_one():
    with pytest.raises(TypeError):
        refunds.send_notices(refunds.make_notices(ROWS, DAY, at("2013-06-14T12:00:00Z")), lambda path: None)


@pytest.mark.claim("9.2")
def test_the_real_post_raises_what_the_stand_in_raises(tmp_path):
    """A stand-in is as good as its likeness: the function behind the connection, against a real server."""
    with catching(tmp_path) as server:
        post = poster(receiver(host="127.0.0.1", port=server.server_port))
        post("/refunds", {"id": "x"})
        assert [each["body"] for each in server.received("/refunds")] == [{"id": "x"}]
        server.behaviour = {"path": "/refunds", "code": 503}
        with pytest.raises(ConnectionError, match="answer 503"):
            post("/refunds", {"id": "y"})
    with pytest.raises(ConnectionError, match="no answer: "):
        post("/refunds", {"id": "z"})


def receiver(**fields) -> Connection:
    return Connection(conn_id="ops_webhook", conn_type="http", **fields)


@pytest.mark.claim("9.2")
@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"host": "catcher"}, "http://catcher/refunds"),
        ({"host": "catcher", "port": 9080}, "http://catcher:9080/refunds"),
        ({"host": "partner.example", "schema": "https"}, "https://partner.example/refunds"),
        ({"host": "partner.example", "schema": "https", "port": 8443}, "https://partner.example:8443/refunds"),
        ({"host": "partner.example/hooks/", "schema": "https"}, "https://partner.example/hooks/refunds"),
        ({"host": "https://partner.example/hooks?key=1"}, "https://partner.example/hooks/refunds?key=1"),
        ({"host": "https://partner.example", "schema": "http", "port": 8443}, "https://partner.example:8443/refunds"),
        ({"host": "::1", "port": 9080}, "http://[::1]:9080/refunds"),
    ],
)
def test_the_address_has_the_connections_schema_host_port_and_path(fields, wanted):
    assert address(receiver(**fields), "/refunds") == wanted


@pytest.mark.parametrize("host", [None, "", "https://", "a b c:1:2/x", "host:port"])
def test_a_connection_without_an_address_is_named(host):
    with pytest.raises(ValueError, match="connection ops_webhook"):
        poster(receiver(host=host))("/refunds", {})


def test_the_real_post_reaches_a_receiver_below_a_path(tmp_path):
    with catching(tmp_path) as server:
        poster(receiver(host=f"http://127.0.0.1:{server.server_port}/hooks"))("refunds", {"id": "x"})
        assert [each["body"] for each in server.received("/hooks/refunds")] == [{"id": "x"}]


# -- the warehouse


def insert(client, flights) -> None:
    loader.create_tables(client)
    client.insert_df("warehouse.flights", flights[[*KEYS, "arr_delay", "cancelled"]].astype({"arr_delay": "Int32"}))


KEYS = ["flight_date", "carrier", "flight", "origin", "dest", "sched_dep_utc"]


@pytest.mark.claim("9.1")
def test_what_is_owed_equals_pandas(warehouse):
    flights = expected.flights("2013-06-13", "2013-06-14")
    insert(warehouse, flights)
    for day in (DAY, DAY + timedelta(days=1)):
        mine = flights[flights["flight_date"].dt.date == day]
        wanted = {}
        for carrier, of in mine.groupby("carrier"):
            counts = int(of["cancelled"].sum()), int((of["arr_delay"] >= 180).sum())
            if sum(counts):
                wanted[carrier] = counts
        assert len(wanted) > 5
        found = refunds.owed_refunds(warehouse, day)
        assert {row["carrier"]: (row["cancelled"], row["late"]) for row in found} == wanted


@pytest.mark.claim("9.1")
def test_three_hours_is_late_a_minute_less_is_not_and_a_punctual_airline_owes_nothing(warehouse):
    flights = expected.flights("2013-06-13", "2013-06-13")
    some = flights[flights["carrier"].isin(["UA", "B6", "AA"])].groupby("carrier").head(2).copy()
    some["cancelled"] = False
    some["arr_delay"] = some["carrier"].map({"UA": 180.0, "B6": 179.0, "AA": None})
    insert(warehouse, some)
    assert refunds.owed_refunds(warehouse, DAY) == [{"carrier": "UA", "cancelled": 0, "late": 2}]


@pytest.mark.parametrize("made", [False, True])
def test_a_day_that_is_not_published_says_what_to_run(warehouse, made):
    if made:
        loader.create_tables(warehouse)
    with pytest.raises(refunds.DayMissing, match="answers run q01 --date 2013-06-13"):
        refunds.owed_refunds(warehouse, DAY)


# -- the tier


def test_the_dag_file_decides_nothing():
    """No business code in the wiring: nothing that could only be tested by running the DAG."""
    import ast

    tree = ast.parse(Path(PROJECT / "dags/q09_refunds.py").read_text())
    decisions = ast.If | ast.For | ast.While | ast.Compare | ast.BinOp | ast.ListComp | ast.DictComp
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, decisions)] == []
