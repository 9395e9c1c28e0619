"""Publishes by Spark and by the warehouse's engine: the contents are the same, bit for bit."""

from pathlib import Path

import pytest

from include.flights import engine, transform
from include.flights import warehouse as loader
from include.flights.spark import SMALL_JOB
from support import contents, expected
from support.publishing import landed_day, publish

STORM, AUTUMN = "2013-06-13", "2013-11-03"  # in autumn an hour happens twice


@pytest.fixture
def interpreted(spark):
    """Let Spark interpret its plans, as SMALL_JOB has it, where the tests' session compiles them."""
    settings = {name: value for name, value in SMALL_JOB.items() if name.startswith("spark.sql.codegen.")}
    assert settings
    for name, value in settings.items():
        spark.conf.set(name, value)
    yield
    for name in settings:
        spark.conf.unset(name)


def test_a_day_that_is_interpreted_has_the_same_contents_bit_for_bit(warehouse, spark, interpreted, tmp_path):
    test_spark_and_the_engine_publish_the_same_contents_bit_for_bit(warehouse, spark, tmp_path, AUTUMN)


@pytest.mark.parametrize("day", [STORM, AUTUMN])
def test_spark_and_the_engine_publish_the_same_contents_bit_for_bit(warehouse, spark, tmp_path, day):
    landed = landed_day(tmp_path, day)
    transform.main(landed["folder"], spark)
    publish(warehouse, landed)
    by_spark = contents(warehouse)
    warehouse.command("DROP DATABASE warehouse SYNC")
    engine.transform_files(warehouse, Path(landed["folder"]))
    publish(warehouse, landed)
    assert len(by_spark["flights"]) > 50_000
    assert contents(warehouse) == by_spark


def published(client) -> dict:
    """Every byte of both tables."""
    return {
        table: client.raw_query(f"SELECT * FROM warehouse.chunk_{table} ORDER BY ALL", fmt="RowBinary")
        for table in loader.CHUNKS.tables
    }


@pytest.mark.claim("3.5")
@pytest.mark.parametrize(("day", "carrier"), [(STORM, "UA"), ("2013-11-03", "EV"), (STORM, "OO")])
def test_the_light_path_and_spark_publish_the_same_chunk_bit_for_bit(warehouse, spark, tmp_path, day, carrier):
    landed = landed_day(tmp_path, day, origin="EWR", carrier=carrier)
    engine.transform_and_publish(warehouse, landed, "light")
    by_engine = published(warehouse)
    warehouse.command("DROP DATABASE warehouse SYNC")
    transform.main(landed["folder"], spark)
    publish(warehouse, landed, loader.CHUNKS, "spark")
    assert published(warehouse) == by_engine
    flights = expected.flights(day, day).query("origin == 'EWR' and carrier == @carrier")
    assert (len(by_engine["flights"]) > 10_000) == (len(flights) > 0)
    if len(flights):  # of an empty result, the frame has no columns
        found = warehouse.query_df("SELECT * FROM warehouse.chunk_flights")
        expected.assert_equal(found, flights, expected.FLIGHT_KEY)
