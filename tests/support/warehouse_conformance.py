"""Tells what a warehouse must do, over HTTP: one list for the embedded one and for ClickHouse's own server.

`TestEmbedded` in tests/service and `TestServer` in tests/compose run it; each says by its fixture `endpoint` where it is.
"""

import datetime as dt
import io
from collections.abc import Iterator
from decimal import Decimal
from ipaddress import IPv4Address
from uuid import UUID, uuid4

import clickhouse_connect
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, Error

from support.warehouse_conduct import Conduct

ROW = {
    "a_bool": ("Bool", True),
    "a_tiny": ("UInt8", 255),
    "a_long": ("Int64", -(2**63)),
    "a_huge": ("UInt256", 2**255 + 1),
    "a_float": ("Float64", 0.1),
    "a_text": ("String", "Ünïcode\tand \\ 'quotes'\n\x00"),
    "a_fixed": ("FixedString(3)", b"abc"),
    "a_day": ("Date", dt.date(2013, 12, 31)),
    "a_far_day": ("Date32", dt.date(1925, 1, 1)),
    "an_instant": ("DateTime('UTC')", dt.datetime(2013, 3, 10, 6, 59, 59)),
    "a_microsecond": ("DateTime64(6, 'UTC')", dt.datetime(2013, 11, 3, 5, 0, 0, 123456)),
    "a_low": ("LowCardinality(String)", "UA"),
    "a_low_null": ("LowCardinality(Nullable(String))", None),
    "a_price": ("Decimal(38, 10)", Decimal("1234567890123456789012345678.0123456789")),
    "a_null": ("Nullable(Int32)", None),
    "no_null": ("Nullable(Int32)", 7),
    "a_list": ("Array(Nullable(String))", ["x", None]),
    "a_map": ("Map(String, UInt32)", {"b": 2, "a": 1}),
    "a_pair": ("Tuple(Int8, String)", (-1, "y")),
    "an_enum": ("Enum8('on' = 1, 'off' = 2)", "off"),
    "an_id": ("UUID", UUID("01234567-89ab-cdef-0123-456789abcdef")),
    "an_address": ("IPv4", IPv4Address("127.0.0.1")),
}
MANY = 3_000_000  # rows: some hundred blocks of the engine


class Conformance(Conduct):
    """The list. A subclass has the fixture `endpoint`: the arguments of `clickhouse_connect.get_client`."""

    @pytest.fixture
    def client(self, endpoint) -> Iterator:
        """A client whose current database is its own, and goes with it."""
        name = f"conformance_{uuid4().hex}"
        with clickhouse_connect.get_client(**endpoint) as admin:
            admin.command(f"CREATE DATABASE {name}")
            with clickhouse_connect.get_client(**endpoint, database=name) as client:
                yield client
            admin.command(f"DROP DATABASE {name} SYNC")

    # -- values

    def test_every_type_comes_back_as_it_went_in(self, client):
        columns = ", ".join(f"{name} {type_}" for name, (type_, _) in ROW.items())
        client.command(f"CREATE TABLE t ({columns}) ENGINE = MergeTree ORDER BY tuple()")
        client.insert("t", [[value for _, value in ROW.values()]], column_names=list(ROW))
        answer = client.query("SELECT * FROM t")
        assert answer.column_names == tuple(ROW)
        assert dict(zip(ROW, answer.result_rows[0], strict=True)) == {name: value for name, (_, value) in ROW.items()}
        described = {row[0]: row[1] for row in client.query("DESCRIBE TABLE t").result_rows}
        assert described == {name: type_ for name, (type_, _) in ROW.items()}

    def test_nulls_are_told_from_zero_and_from_empty(self, client):
        client.command("CREATE TABLE t (n UInt8, a Nullable(Int32), b Nullable(String)) ENGINE = MergeTree ORDER BY n")
        client.insert("t", [[1, None, None], [2, 0, ""]], column_names=["n", "a", "b"])
        sql = "SELECT count(), count(a), count(b), sum(a), groupArray(b) FROM t"
        assert client.query(sql).result_rows == [(2, 1, 1, 0, [""])]
        assert client.query("SELECT a, b FROM t ORDER BY n").result_rows == [(None, None), (0, "")]
        joined = "SELECT r.x FROM (SELECT 1 AS k) AS l LEFT JOIN (SELECT 2 AS k, 'x' AS x) AS r ON l.k = r.k"
        assert client.query(joined).result_rows == [("",)]
        assert client.query(joined, settings={"join_use_nulls": 1}).result_rows == [(None,)]

    def test_zones_and_fractions_of_seconds_are_kept(self, client):
        sql = (
            "SELECT toUnixTimestamp(toDateTime('2013-03-10 03:00:00', 'America/New_York')), timezone(), "
            "toDateTime64('2013-11-03 01:30:00.000001', 6, 'America/New_York')"
        )
        ((instant, zone, fraction),) = client.query(sql).result_rows
        assert dt.datetime.fromtimestamp(instant, dt.UTC) == dt.datetime(2013, 3, 10, 7, tzinfo=dt.UTC)
        assert zone in ("UTC", "Etc/UTC")
        assert (str(fraction.tzinfo), fraction.replace(tzinfo=None)) == (
            "America/New_York",
            dt.datetime(2013, 11, 3, 1, 30, 0, 1),
        )

    def test_a_command_returns_its_value_and_a_change_a_summary(self, client):
        assert client.command("SELECT 1") == 1
        assert client.command("EXISTS TABLE nowhere") == 0
        assert client.command("SELECT 1 WHERE 0") == ""
        made = client.command("CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a")
        assert made.query_id()
        assert client.insert("t", [[1], [2]], column_names=["a"]).written_rows == 2
        assert client.command("SELECT sum(a) FROM t") == 3

    def test_parameters_are_values_and_never_sql(self, client):
        given = {"text": "it's \\ \n\t {x:String} ; DROP", "days": [dt.date(2013, 1, 1)], "none": None, "f": 1.5}
        sql = "SELECT {text:String}, {days:Array(Date)}, {none:Nullable(Int8)}, {f:Float64}"
        assert client.query(sql, parameters=given).result_rows == [tuple(given.values())]
        long = "x" * 50_000  # too long for an address: the client sends a form
        assert client.query("SELECT length({t:String})", parameters={"t": long}).result_rows == [(50_000,)]

    def test_a_statement_may_have_comments_and_says_its_format(self, client):
        sql = "/* 'FORMAT' ( */ SELECT 1 AS a, 'FORMAT CSV' AS b -- FORMAT JSON"
        assert client.query(sql + "\n").result_rows == [(1, "FORMAT CSV")]
        assert client.raw_query("SELECT 1 AS a FORMAT JSONEachRow") == b'{"a":1}\n'
        assert client.raw_query("SELECT 1 AS a", fmt="CSVWithNames") == b'"a"\n1\n'
        with pytest.raises(DatabaseError) as refused:
            client.command("SELECT 1; SELECT 2")
        assert refused.value.code == 62

    # -- much data

    @pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", False])
    def test_rows_go_in_and_come_out_in_blocks(self, endpoint, client, compress):
        client.command("CREATE TABLE t (n UInt64, text String) ENGINE = MergeTree ORDER BY n")
        frame = pd.DataFrame({"n": range(100_000)})
        frame["text"] = frame["n"].map("row {}".format)
        with clickhouse_connect.get_client(**endpoint, database=client.database, compress=compress) as packed:
            assert packed.insert_df("t", frame).written_rows == len(frame)
            pd.testing.assert_frame_equal(packed.query_df("SELECT * FROM t ORDER BY n").astype(frame.dtypes), frame)

    def test_a_large_result_is_streamed(self, client):
        blocks = seen = 0
        with client.query_column_block_stream(f"SELECT number FROM numbers({MANY}) ORDER BY number") as stream:
            for (numbers,) in stream:
                assert numbers[0] == seen
                blocks, seen = blocks + 1, seen + len(numbers)
        assert (seen, blocks > 10) == (MANY, True)

    def test_what_fails_behind_its_first_rows_is_an_error(self, client):
        sql = f"SELECT number, throwIf(number = {MANY - 1}) FROM numbers({MANY})"
        with (
            pytest.raises(Error) as failed,
            client.query_column_block_stream(sql, settings={"max_threads": 1}) as stream,
        ):
            assert sum(len(numbers) for numbers, _ in stream) == 0
        assert failed.value.code == 395
        with pytest.raises(DatabaseError) as failed:
            client.query(sql)
        assert (failed.value.code, failed.value.name) == (395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO")

    def test_an_insert_is_read_while_it_is_sent(self, client):
        client.command("CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
        lines = (b"".join(b"%d\n" % n for n in range(first, first + 50_000)) for first in range(0, 500_000, 50_000))
        assert client.raw_insert("t", ["n"], lines, fmt="CSV").written_rows == 500_000
        assert client.query("SELECT count(), sum(n) FROM t").result_rows == [(500_000, sum(range(500_000)))]
        client.command("INSERT INTO t (n) VALUES (1), (2)")
        client.command("INSERT INTO t SELECT n + 1 FROM t WHERE n < 1")
        assert client.command("SELECT count() FROM t") == 500_003

    def test_an_insert_may_have_its_rows_in_its_text(self, client):
        client.command("CREATE TABLE t (n UInt64, text String) ENGINE = MergeTree ORDER BY n")
        rows = ", ".join(f"({n}, 'row; {n:020}')" for n in range(100_000))  # some megabytes
        client.command(f"INSERT INTO t (n, text) VALUES {rows}")
        assert client.query("SELECT count(), sum(n) FROM t").result_rows == [(100_000, sum(range(100_000)))]

    def test_an_insert_whose_data_are_wrong_leaves_nothing(self, client):
        client.command("CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
        with pytest.raises(DatabaseError) as refused:
            client.raw_insert("t", ["n"], b"1\n2\nthree\n", fmt="CSV")
        assert refused.value.code in (27, 72, 117), refused.value  # what is wrong with it may be said in several ways
        assert client.command("SELECT count() FROM t") == 0

    def test_parquet_goes_in_and_comes_out(self, client, tmp_path):
        table = pa.table({"n": pa.array(range(200_000), pa.uint64()), "word": ["a", None] * 100_000})
        pq.write_table(table, tmp_path / "in.parquet")
        client.command("CREATE TABLE t (n UInt64, word Nullable(String)) ENGINE = MergeTree ORDER BY n")
        with (tmp_path / "in.parquet").open("rb") as stream:
            client.raw_insert("t", ["n", "word"], stream, fmt="Parquet")
        whole = client.raw_query("SELECT * FROM t ORDER BY n", fmt="Parquet")
        streamed = client.raw_stream("SELECT * FROM t ORDER BY n", fmt="Parquet").read()
        for data in (whole, streamed):
            back = pq.read_table(io.BytesIO(data))
            assert back.column("n").to_pylist() == table.column("n").to_pylist()
            words = [word.decode() if isinstance(word, bytes) else word for word in back.column("word").to_pylist()]
            assert words == table.column("word").to_pylist()

    def test_a_partition_is_replaced_by_another_tables(self, client):
        for name in ("live", "staged"):
            client.command(f"CREATE TABLE {name} (d Date, n Int32) ENGINE = MergeTree PARTITION BY d ORDER BY n")
        client.insert("live", [[dt.date(2013, 1, day), day] for day in (1, 2)], column_names=["d", "n"])
        client.insert("staged", [[dt.date(2013, 1, 1), n] for n in (7, 8)], column_names=["d", "n"])
        client.command("ALTER TABLE live REPLACE PARTITION '2013-01-01' FROM staged")
        assert client.query("SELECT n FROM live ORDER BY n").result_rows == [(2,), (7,), (8,)]
        client.command("ALTER TABLE live DROP PARTITION '2013-01-01'")
        assert client.query("SELECT n FROM live").result_rows == [(2,)]
