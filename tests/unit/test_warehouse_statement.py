"""Reads statements as the embedded warehouse does, and errors as its engine words them."""

import asyncio
import errno
import os

import pytest

from answers.stack.warehouse import compression, statement
from answers.stack.warehouse.errors import QueryError


@pytest.mark.parametrize(
    ("text", "verb", "rows", "format_"),
    [
        (b"SELECT 1", "SELECT", True, None),
        (b"  -- a word\n/* ( FORMAT x */ select 1 format\tNative ;\n", "SELECT", True, "Native"),
        (b"(SELECT 1) UNION ALL (SELECT 'FORMAT CSV')", "SELECT", True, None),
        (b"WITH 'a;b' AS x SELECT x FORMAT JSON SETTINGS max_threads = 1", "WITH", True, "JSON"),
        (b"SELECT formatDateTime(now(), '%H') AS format FROM (SELECT 1 FORMAT CSV)", "SELECT", True, None),
        (b"SHOW TABLES", "SHOW", True, None),
        (b"SELECT format FROM t", "SELECT", True, None),
        (b"SELECT a AS format FROM t format CSV;", "SELECT", True, "CSV"),
        (b"INSERT INTO format VALUES (1)", "INSERT", False, None),
        (b"KILL QUERY WHERE 1", "KILL", True, None),
        (b"ALTER TABLE t DROP PARTITION '2013-01-01'", "ALTER", False, None),
        (b"INSERT INTO t VALUES (1, 'FORMAT CSV'); ", "INSERT", False, None),
        (b"INSERT INTO t SELECT * FROM u", "INSERT", False, None),
    ],
)
def test_a_statement_tells_whether_it_gives_rows_and_in_which_format(text, verb, rows, format_):
    read = statement.read(text)
    assert (read.verb, read.gives_rows, read.format, read.data_at) == (verb, rows, format_, None)


@pytest.mark.parametrize(
    ("head", "data"),
    [
        (b"INSERT INTO t (a, b) FORMAT Native\n", b"\x02\x01;'(FORMAT CSV\n"),
        (b"insert into `select` (`values`) settings x = 'FORMAT JSON' format CSV \r\n", b"\n1,2"),
        (b"INSERT INTO TABLE format FORMAT TSV\n", b"1"),
        (b"INSERT INTO FUNCTION file('x', 'CSV') FORMAT CSV ", b"1"),
        (b"INSERT INTO t FORMAT Parquet", b""),
    ],
)
def test_the_data_of_an_insert_begin_behind_its_format(head, data):
    read = statement.read(head + data)
    assert (read.verb, read.gives_rows) == ("INSERT", False)
    assert (head + data)[read.data_at :] == data


@pytest.mark.parametrize(
    ("beginning", "with_data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,';\n2,", True),
        (b"-- a word\ninsert into t (a) format Native \x00;", True),
        (b"INSERT INTO t VALUES (1, 'FORMAT CSV'), (2, 'cut; he", False),
        (b"INSERT INTO t SELECT 'FORMAT CSV", False),
        (b"SELECT 'cut; INSERT INTO t FORMAT CSV", False),
        (b"  ", False),
    ],
)
def test_the_beginning_of_a_statement_tells_whether_data_follow(beginning, with_data):
    assert statement.is_insert_with_data(beginning) == with_data


@pytest.mark.parametrize("text", [b"", b" -- nothing\n", b"SELECT 1; DROP TABLE t", b"SELECT ';' ; SELECT 2"])
def test_nothing_and_several_statements_are_refused(text):
    with pytest.raises(QueryError) as refused:
        statement.read(text)
    assert refused.value.code == 62


def test_an_error_of_the_engine_is_worded_as_a_server_does():
    error = QueryError.of(
        RuntimeError("Streaming query failed: Code: 60. DB::Exception: Table x does not exist. (UNKNOWN_TABLE)")
    )
    assert (error.code, error.name, error.status) == (60, "UNKNOWN_TABLE", 404)
    assert error.body("26.9") == (b"Code: 60. DB::Exception: Table x does not exist. (UNKNOWN_TABLE) (version 26.9)\n")
    assert QueryError.of(error) is error
    assert QueryError.of(ValueError("?")).body("26.9").startswith(b"Code: 1002. DB::Exception: ? (UNKNOWN_EXCEPTION)")


@pytest.mark.parametrize(
    "failed",
    [
        RuntimeError("Code: 243. DB::Exception: Cannot reserve 21.74 MiB, not enough space. (NOT_ENOUGH_SPACE)"),
        RuntimeError(
            "Code: 75. DB::Exception: Cannot write: , errno: 28, strerror: No space left on device. (CANNOT_WRITE)"
        ),
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a note"),
    ],
    ids=["refused", "in the middle", "of this process"],
)
def test_a_full_disk_is_an_error_that_says_what_to_do(failed):
    text = QueryError.of(failed).body("26.9").decode()
    assert text.startswith(("Code: 243. DB::Exception: the disk of the warehouse is full: make room", "Code: 75. "))
    assert "make room on it, then send the statement again" in text
    assert "is full" not in str(QueryError.of(RuntimeError("Code: 60. DB::Exception: Table x. (UNKNOWN_TABLE)")))


@pytest.mark.parametrize("encoding", sorted(compression.PACKERS))
def test_what_is_packed_in_several_frames_is_unpacked_wherever_it_is_cut(encoding):
    texts = [b"first " * 1000, b"second"]
    packed = b""
    for text in texts:
        packer = compression.PACKERS[encoding]()
        packed += packer.compress(text) + packer.flush()

    async def unpack(size: int) -> bytes:
        async def chunks():
            for first in range(0, len(packed), size):
                yield packed[first : first + size]

        return b"".join([piece async for piece in compression.unpacked(chunks(), encoding)])

    for size in (1, 7, len(packed)):
        assert asyncio.run(unpack(size)) == b"".join(texts)
    assert compression.chosen(f"br;q=1, {encoding};q=0.5") == encoding


def test_an_unknown_packing_and_a_broken_one_are_errors():
    async def unpack(encoding: str, data: bytes) -> bytes:
        async def chunks():
            yield data

        return b"".join([piece async for piece in compression.unpacked(chunks(), encoding)])

    assert asyncio.run(unpack("", b"as it is")) == b"as it is"
    for encoding, code in (("br", 89), ("gzip", 354), ("lz4", 354), ("zstd", 354)):
        with pytest.raises(QueryError) as refused:
            asyncio.run(unpack(encoding, b"as it is"))
        assert refused.value.code == code
