"""Tells how a warehouse must behave towards its clients: sessions, settings, errors, limits. Part of warehouse_conformance.py."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from include.waiting import patience
from support import wait_for

ENDLESS = (
    "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number, '{mark}')) SETTINGS max_threads = 1"
)


def address(endpoint) -> tuple[str, tuple[str, str]]:
    """The URL of an endpoint, and its user with the password."""
    return f"http://{endpoint['host']}:{endpoint['port']}", (endpoint["username"], endpoint["password"])


def running(client, mark: str) -> bool:
    """Tell whether a query with this text in it runs."""
    sql = (
        "SELECT count() FROM system.processes "
        "WHERE startsWith(query, 'SELECT count() FROM numbers') AND position(query, {mark:String}) > 0"
    )
    return bool(client.query(sql, parameters={"mark": mark}).result_rows[0][0] > 0)


class Conduct:
    """The list's second half. Uses `endpoint` and `client` of the first."""

    @pytest.fixture
    def another(self, endpoint, client) -> Iterator:
        """A second client of the same database."""
        with clickhouse_connect.get_client(**endpoint, database=client.database) as second:
            yield second

    # -- sessions and settings

    def test_a_temporary_table_is_its_sessions_own(self, client, another):
        client.command("CREATE TEMPORARY TABLE mine (n Int32) ENGINE = Memory")
        client.insert("mine", [[1], [2]], column_names=["n"], column_type_names=["Int32"])
        client.command("CREATE OR REPLACE TEMPORARY TABLE twice ENGINE = Memory AS SELECT n * 2 AS n FROM mine")
        assert client.query("SELECT sum(n) FROM twice").result_rows == [(6,)]
        with pytest.raises(DatabaseError) as unknown:
            another.query("SELECT * FROM mine")
        assert unknown.value.code == 60
        client.command("DROP TEMPORARY TABLE mine")
        with pytest.raises(DatabaseError):
            client.query("SELECT * FROM mine")

    def test_settings_hold_for_a_request_and_a_set_for_its_session(self, client, another):
        ask = "SELECT getSetting('max_block_size'), getSetting('join_use_nulls')"
        usual = another.query(ask).result_rows
        assert client.query(ask, settings={"max_block_size": 17}).result_rows == [(17, usual[0][1])]
        assert client.query(ask).result_rows == usual
        client.command("SET max_block_size = 19")
        assert client.query(ask).result_rows == [(19, usual[0][1])]
        assert client.query(ask, settings={"max_block_size": 23, "join_use_nulls": 1}).result_rows == [(23, True)]
        assert client.query(ask).result_rows == [(19, usual[0][1])]
        assert another.query(ask).result_rows == usual

    def test_a_session_has_a_current_database_and_a_request_another_one(self, endpoint, client):
        with clickhouse_connect.get_client(**endpoint) as mine:
            usual = mine.command("SELECT currentDatabase()")
            mine.command(f"USE {client.database}")
            assert mine.command("SELECT currentDatabase()") == client.database
            mine.database = "system"
            assert mine.command("SELECT currentDatabase()") == "system"
            mine.database = None
            assert mine.command("SELECT currentDatabase()") == client.database != usual

    def test_a_database_that_is_unknown_or_whose_query_fails_leaves_the_sessions_own(self, endpoint, client):
        url, user = address(endpoint)
        session, own = {"session_id": uuid4().hex}, client.database

        def ask(sql: str, **params: str) -> str:
            answer = http.post(url, params=session | params, content=sql)
            return answer.headers.get("X-ClickHouse-Exception-Code") or answer.text.strip()

        current = "SELECT currentDatabase()"
        with httpx.Client(auth=user, trust_env=False) as http:
            assert ask(f"/* USE system */ use {own}") == ""
            for sql, params, told in (
                (current, {"database": own}, own),
                ("USE not_there", {}, "81"),
                (current, {"database": "not_there"}, "81"),
                (current, {"database": "system"}, "system"),
                ("SELECT nothing", {"database": "system"}, "47"),
                ("SET max_block_size = 19", {"database": "system"}, ""),
                ("USE system", {"database": own}, ""),
                (f"USE {own}", {"database": "system"}, ""),
            ):
                assert ask(sql, **params) == told, sql
                assert sql == "USE system" or ask(current) == own, sql

    def test_a_session_does_one_thing_at_a_time(self, endpoint, client):
        url, user = address(endpoint)
        session, mark = {"session_id": uuid4().hex}, uuid4().hex
        patient = patience(60)  # a query that is not killed is a failure, and no test that hangs
        with httpx.Client(auth=user, trust_env=False, timeout=patient) as http, ThreadPoolExecutor(1) as thread:
            first = thread.submit(http.post, url, params=session, content=ENDLESS.format(mark=mark))
            wait_for("the query to run", lambda: running(client, mark))
            second = http.post(url, params=session, content="SELECT 1")
            assert second.headers["X-ClickHouse-Exception-Code"] == "373"
            client.command(f"KILL QUERY WHERE position(query, '{mark}') > 0 ASYNC")
            assert first.result().headers["X-ClickHouse-Exception-Code"] == "394"
            assert http.post(url, params=session, content="SELECT 1").text == "1\n"

    # -- errors

    @pytest.mark.parametrize(
        ("sql", "code", "name"),
        [
            ("SELEC 1", 62, "SYNTAX_ERROR"),
            ("SELECT * FROM nowhere", 60, "UNKNOWN_TABLE"),
            ("SELECT nothing", 47, "UNKNOWN_IDENTIFIER"),
            ("SELECT toUInt8('x')", 6, "CANNOT_PARSE_TEXT"),
            ("SELECT 1 FROM not_there.t", 81, "UNKNOWN_DATABASE"),
            ("SELECT 1 SETTINGS no_such_setting = 1", 115, "UNKNOWN_SETTING"),
            ("DROP TABLE nowhere", 60, "UNKNOWN_TABLE"),
        ],
    )
    def test_an_error_has_its_code_and_name(self, client, sql, code, name):
        for ask in (client.command, client.query, client.raw_query):
            with pytest.raises(DatabaseError) as failed:
                ask(sql)
            assert (failed.value.code, failed.value.name) == (code, name)
        assert client.command("SELECT 1") == 1, "the session goes on"

    def test_a_setting_of_the_address_that_is_unknown_is_an_error(self, endpoint):
        url, user = address(endpoint)
        params = {"query": "SELECT 1", "no_such_setting": "1"}
        answer = httpx.post(url, params=params, auth=user, trust_env=False)
        assert answer.headers["X-ClickHouse-Exception-Code"] == "115"
        assert answer.text.startswith("Code: 115. DB::Exception: ")

    def test_what_a_client_says_of_itself_is_checked(self, endpoint):
        url, user = address(endpoint)
        with httpx.Client(auth=user, trust_env=False) as http:
            wrong = {"session_id": uuid4().hex, "session_timeout": "soon"}
            assert http.post(url, params=wrong, content="SELECT 1").headers["X-ClickHouse-Exception-Code"] == "374"
            answer = http.post(url, params={"query_id": "x\r\nX-Other: 1"}, content="SELECT 1")
            assert (answer.text, answer.headers.get("X-Other")) == ("1\n", None)

    @pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"username": "somebody"}, {"password": ""}])
    def test_nobody_comes_in_with_a_wrong_password(self, endpoint, wrong):
        with pytest.raises(DatabaseError) as refused:
            clickhouse_connect.get_client(**endpoint | wrong)
        assert (refused.value.code, refused.value.name) == (516, "AUTHENTICATION_FAILED")
        assert endpoint["password"] not in str(refused.value)

    def test_a_ping_needs_no_password(self, endpoint):
        url, _ = address(endpoint)
        assert httpx.get(f"{url}/ping", trust_env=False).text == "Ok.\n"

    # -- limits

    def test_a_query_has_no_more_memory_than_it_may(self, client):
        greedy = "SELECT count() FROM (SELECT number, count() FROM numbers(50000000) GROUP BY number)"
        with pytest.raises(DatabaseError) as refused:
            client.query(greedy, settings={"max_memory_usage": 50_000_000})
        assert (refused.value.code, refused.value.name) == (241, "MEMORY_LIMIT_EXCEEDED")
        assert client.command("SELECT 1") == 1

    def test_a_query_has_no_more_time_than_it_may(self, client):
        with pytest.raises(DatabaseError) as refused:
            client.query(ENDLESS.format(mark=""), settings={"max_execution_time": 1})
        assert refused.value.code == 159

    def test_a_query_ends_with_its_client(self, endpoint, client):
        url, user = address(endpoint)
        mark = uuid4().hex
        params = {"cancel_http_readonly_queries_on_client_close": "1"}
        with httpx.Client(auth=user, trust_env=False, timeout=httpx.Timeout(60, read=0.5)) as http:
            for look in range(100):
                try:
                    http.post(url, params=params, content=ENDLESS.format(mark=mark))
                except httpx.ReadTimeout:
                    break
                assert look < 99, "the query ended by itself"
        wait_for("the query to end", lambda: not running(client, mark))

    def test_a_query_is_killed_by_its_id(self, client, another):
        mark = uuid4().hex
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(client.query, ENDLESS.format(mark=mark), settings={"query_id": mark})
            wait_for("the query to run", lambda: running(another, mark))
            another.command(f"KILL QUERY WHERE query_id = '{mark}' ASYNC")
            with pytest.raises(DatabaseError) as killed:
                asked.result()
        assert (killed.value.code, killed.value.name) == (394, "QUERY_WAS_CANCELLED")
        assert client.command("SELECT 1") == 1, "the session goes on"

    def test_sixteen_clients_at_once_do_not_disturb_each_other(self, endpoint, client):
        client.command("CREATE TABLE t (who UInt8, n UInt32) ENGINE = MergeTree PARTITION BY who ORDER BY n")
        together = threading.Barrier(16)

        def work(who: int) -> int:
            with clickhouse_connect.get_client(**endpoint, database=client.database) as mine:
                together.wait(120)
                mine.command("CREATE TEMPORARY TABLE mine (n UInt32) ENGINE = Memory")
                for first in range(0, 50, 10):
                    rows = [[who, n] for n in range(first, first + 10)]
                    mine.insert("t", rows, column_names=["who", "n"])
                    mine.command(f"INSERT INTO mine SELECT n FROM t WHERE who = {who} AND n >= {first}")
                    assert mine.command("SELECT count() FROM mine") == first + 10
                return int(mine.command(f"SELECT sum(n) FROM t WHERE who = {who}"))

        with ThreadPoolExecutor(16) as threads:
            assert list(threads.map(work, range(16))) == [sum(range(50))] * 16
        assert client.query("SELECT count(), uniqExact(who, n) FROM t").result_rows == [(800, 800)]
