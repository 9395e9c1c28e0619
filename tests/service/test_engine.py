"""The light path: the warehouse's own engine does what the Spark job does; slices of a day are published alone."""

from pathlib import Path

import pandas as pd
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from include.flights import engine
from include.flights import warehouse as loader
from support import expected
from support.publishing import landed_day, publish

STORM, AUTUMN = "2013-06-13", "2013-11-03"  # in autumn an hour happens twice


def publish_slice(client, folder: Path, day: str, layout, **slice: str):
    landed = landed_day(folder, day, **slice)
    engine.transform_files(client, Path(landed["folder"]))
    return publish(client, landed, layout)


def fingerprint(client, table: str):
    return client.query(f"SELECT {loader.FINGERPRINT} FROM warehouse.{table}").result_rows[0]


def test_a_text_that_is_no_number_is_an_error(warehouse, tmp_path):
    landed = landed_day(tmp_path, STORM)
    file = Path(landed["folder"]) / "landing" / "flights.parquet"
    frame = pd.read_parquet(file)
    frame.loc[3, "distance"] = "far"
    frame.to_parquet(file)
    with pytest.raises(DatabaseError, match="far"):
        engine.transform_files(warehouse, Path(landed["folder"]))
    assert not (Path(landed["folder"]) / "transformed").exists()


def test_the_carriers_slices_of_a_day_add_up_to_the_day(warehouse, tmp_path):
    carriers = sorted(expected.raw("airlines.csv")["carrier"])
    rows = {
        carrier: publish_slice(warehouse, tmp_path, STORM, loader.CARRIERS, carrier=carrier) for carrier in carriers
    }
    assert len(rows) == 16
    assert rows["OO"]["rows_in"] == 0
    flights = warehouse.query_df("SELECT * FROM warehouse.carrier_flights")
    expected.assert_equal(flights, expected.flights(STORM, STORM), expected.FLIGHT_KEY)
    delays = warehouse.query_df("SELECT * FROM warehouse.carrier_daily_delays")
    expected.assert_equal(delays, expected.daily_delays(STORM, STORM), expected.DAILY_DELAYS_KEY)


def test_a_slice_published_again_changes_nothing_and_no_other_slice(warehouse, tmp_path):
    for carrier in ("UA", "DL"):
        publish_slice(warehouse, tmp_path, STORM, loader.CHUNKS, origin="EWR", carrier=carrier)
    before = fingerprint(warehouse, "chunk_flights")
    publish_slice(warehouse, tmp_path, STORM, loader.CHUNKS, origin="EWR", carrier="DL")
    assert fingerprint(warehouse, "chunk_flights") == before
    assert before[0] == len(expected.flights(STORM, STORM).query("origin == 'EWR' and carrier in ('UA', 'DL')"))


def test_an_empty_slice_empties_its_partition_and_no_other(warehouse, tmp_path, make_feed):
    for carrier in ("F9", "DL"):
        publish_slice(warehouse, tmp_path, STORM, loader.CARRIERS, carrier=carrier)
    feed = make_feed(STORM, flights=lambda text: "".join(x for x in text.splitlines(True) if ",F9," not in x))
    landed = landed_day(tmp_path, STORM, feed=feed, carrier="F9")
    assert landed["rows"] == 0
    engine.transform_files(warehouse, Path(landed["folder"]))
    publish(warehouse, landed, loader.CARRIERS)
    left = warehouse.query("SELECT DISTINCT carrier FROM warehouse.carrier_flights").result_rows
    assert left == [("DL",)]


def test_rows_of_another_slice_are_not_published(warehouse, tmp_path):
    landed = landed_day(tmp_path, STORM, carrier="UA")
    engine.transform_files(warehouse, Path(landed["folder"]))
    with pytest.raises(loader.ValidationError, match="carrier is that of the slice: not so in"):
        publish(warehouse, {**landed, "slice": {"carrier": "DL"}}, loader.CARRIERS)
    assert fingerprint(warehouse, "carrier_flights")[0] == 0


def test_a_slice_that_the_layout_does_not_have_is_refused(warehouse, tmp_path):
    landed = landed_day(tmp_path, STORM, carrier="UA")
    with pytest.raises(ValueError, match="need a slice of these columns"):
        publish(warehouse, landed, loader.CHUNKS)
