"""The loader: staging -> validation -> REPLACE PARTITION. Doing it again changes nothing; bad data is never published."""

import subprocess
import sys
import threading
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from include.flights import publish as publishing
from include.flights import transform
from include.flights import warehouse as loader
from include.flights.feed import default_feed, land_interval
from include.flights.publish import publish_day
from support import HOME, contents, expected, interval, open_warehouse

DAY = "2013-06-13"


@pytest.fixture(scope="module")
def transformed(spark, tmp_path_factory):
    """Folder and row count of a transformed day, made once a day."""
    made = {}

    def make(day: str = DAY) -> tuple[Path, int]:
        if day not in made:
            landed = land_interval(default_feed(), tmp_path_factory.mktemp("day"), *interval(day), run=day)
            transform.main(landed["folder"], spark)
            made[day] = Path(landed["folder"]), landed["rows"]
        return made[day]

    return make


@pytest.fixture
def copied(transformed, tmp_path):
    """A copy of a transformed day that a test may damage."""
    import shutil

    def copy(day: str = DAY) -> tuple[Path, int]:
        folder, rows = transformed(day)
        return Path(shutil.copytree(folder, tmp_path / day, symlinks=True)), rows

    return copy


def publish(client, folder, rows, day=DAY, run="run"):
    return publish_day(client, folder, date.fromisoformat(day), date.fromisoformat(day), rows, run)


def tables(client) -> set[str]:
    return {name for (name,) in client.query("SHOW TABLES FROM warehouse").result_rows}


def edit(folder: Path, table: str, change) -> None:
    """Rewrite a table's Parquet file."""
    (file,) = (folder / "transformed" / table).glob("part-*.parquet")
    pq.write_table(change(pq.read_table(file)), file)


@pytest.mark.claim("1.3")
@pytest.mark.parametrize("day", [DAY, "2013-03-10", "2013-11-03", "2013-02-09"])
def test_a_published_day_equals_pandas(warehouse, transformed, day):
    report = publish(warehouse, *transformed(day), day=day)
    assert report["published"]["flights"] == len(expected.flights(day, day))
    expected.assert_equal(
        warehouse.query_df("SELECT * FROM warehouse.flights"), expected.flights(day, day), expected.FLIGHT_KEY
    )
    expected.assert_equal(
        warehouse.query_df("SELECT * FROM warehouse.daily_delays"),
        expected.daily_delays(day, day),
        expected.DAILY_DELAYS_KEY,
    )


@pytest.mark.claim("1.4")
def test_a_second_run_of_a_day_changes_nothing(warehouse, transformed):
    publish(warehouse, *transformed())
    before = contents(warehouse)
    publish(warehouse, *transformed(), run="another run")
    assert contents(warehouse) == before
    assert warehouse.command("SELECT count() FROM warehouse.flights") == len(expected.flights(DAY, DAY))


@pytest.mark.claim("1.4")
def test_the_fingerprint_sees_a_change_of_any_column(warehouse, transformed):
    """Also of one beside a NULL: a fingerprint that could not change would prove nothing."""
    publish(warehouse, *transformed())
    for table in loader.KEYS:
        found = [warehouse.query(f"SELECT {loader.FINGERPRINT} FROM warehouse.{table}").result_rows]
        columns = warehouse.query(f"DESCRIBE warehouse.{table}").result_columns[0]
        for column in columns:
            others = f"* EXCEPT {column}, NULL AS {column}"
            changed = f"SELECT {loader.FINGERPRINT} FROM (SELECT {others} FROM warehouse.{table})"
            found.append(warehouse.query(changed).result_rows)
        assert len({str(each) for each in found}) == len(columns) + 1


@pytest.mark.claim("1.4")
def test_days_come_in_any_order_and_leave_each_other_alone(warehouse, transformed):
    for day in (DAY, "2013-03-10", DAY):
        publish(warehouse, *transformed(day), day=day)
    both = pd.concat([expected.flights("2013-03-10", "2013-03-10"), expected.flights(DAY, DAY)])
    expected.assert_equal(warehouse.query_df("SELECT * FROM warehouse.flights"), both, expected.FLIGHT_KEY)


@pytest.mark.claim("1.4")
def test_two_runs_of_one_day_at_once_leave_the_contents_of_one(warehouse, transformed):
    folder, rows = transformed()
    errors = []

    def work(run):
        try:
            with open_warehouse() as client:
                publish(client, folder, rows, run=run)
        except Exception as error:
            errors.append(error)

    publish(warehouse, folder, rows)
    before = contents(warehouse)
    threads = [threading.Thread(target=work, args=(f"run {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert contents(warehouse) == before
    assert tables(warehouse) == set(loader.KEYS)


@pytest.mark.claim("1.4")
@pytest.mark.parametrize(
    "step",
    [publishing.load_parquet, publishing.validate_staged, publishing.replace_partition],
    ids=lambda step: step.__name__,
)
def test_a_kill_in_any_step_of_the_load_is_repaired_by_the_retry(warehouse, transformed, step):
    """A process is killed (SIGKILL) inside the step; the retry must leave what an undisturbed run leaves."""
    folder, rows = transformed()
    publish(warehouse, folder, rows)
    before = contents(warehouse)
    warehouse.command(f"ALTER TABLE warehouse.flights DELETE WHERE flight_date = '{DAY}' SETTINGS mutations_sync = 2")
    warehouse.close()  # the child needs the engine
    code = f"""
import os, signal, clickhouse_connect
from datetime import date
from pathlib import Path
from include.flights import publish
real, calls = publish.{step.__name__}, []
def killed(*args):
    result = real(*args)
    calls.append(1)
    if len(calls) == {2 if step is publishing.replace_partition else 1}:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
publish.{step.__name__} = killed
client = clickhouse_connect.get_client(interface="chdb", path={str(HOME / "warehouse")!r})
day = date.fromisoformat({DAY!r})
publish.publish_day(client, Path({str(folder)!r}), day, day, {rows}, "killed run")
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == -9
    with open_warehouse() as client:
        assert tables(client) != set(loader.KEYS), "the kill left its staging tables, else this test tests nothing"
        publish(client, folder, rows, run="killed run")
        assert contents(client) == before
        assert tables(client) == set(loader.KEYS)


@pytest.mark.claim("1.4")
def test_a_day_without_flights_empties_its_partition_and_no_other(warehouse, transformed, tmp_path, spark, make_feed):
    publish(warehouse, *transformed())
    publish(warehouse, *transformed("2013-03-10"), day="2013-03-10")
    landed = land_interval(make_feed("2013-06-14"), tmp_path, *interval(DAY), run="empty")
    assert landed["rows"] == 0
    transform.main(landed["folder"], spark)
    report = publish(warehouse, Path(landed["folder"]), 0)
    assert report["published"] == dict.fromkeys(loader.KEYS, 0)
    days = warehouse.query("SELECT DISTINCT flight_date FROM warehouse.flights").result_rows
    assert days == [(date(2013, 3, 10),)]


@pytest.mark.claim("1.5")
@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        pytest.param("flights", lambda t: t.slice(1), "988 rows for 989 in the feed", id="lost-row"),
        pytest.param("flights", lambda t: pa.concat_tables([t, t.slice(0, 1)]), "is not unique", id="doubled-row"),
        pytest.param(
            "flights",
            lambda t: t.set_column(0, "flight_date", pa.array([date(2013, 6, 14)] * t.num_rows)),
            "flight_date lies in the interval: not so in 989 rows",
            id="another-day",
        ),
        pytest.param(
            "flights",
            lambda t: t.set_column(
                t.schema.get_field_index("cancelled"), "cancelled", pc.invert(t["cancelled"].combine_chunks())
            ),
            "a cancelled flight has no delays",
            id="cancelled-with-delay",
        ),
        pytest.param(
            "daily_delays",
            lambda t: t.set_column(
                t.schema.get_field_index("on_time_share"), "on_time_share", pa.array([2.0] * t.num_rows)
            ),
            r"on_time_share lies in \[0, 1\]: not so in 33 rows",
            id="impossible-share",
        ),
        pytest.param(
            "daily_delays", lambda t: t.slice(1), "daily_delays.flights: [0-9]+ rows for 989", id="lost-group"
        ),
    ],
)
def test_what_fails_validation_leaves_the_published_day_untouched(warehouse, copied, table, change, message):
    folder, rows = copied()
    publish(warehouse, folder, rows)
    before = contents(warehouse)
    edit(folder, table, change)
    with pytest.raises(loader.ValidationError, match=message):
        publish(warehouse, folder, rows, run="bad")
    assert contents(warehouse) == before
    assert tables(warehouse) == set(loader.KEYS)


@pytest.mark.claim("1.5")
def test_a_missing_output_of_the_transform_is_named(warehouse, copied):
    import shutil

    folder, rows = copied()
    shutil.rmtree(folder / "transformed" / "daily_delays")
    with pytest.raises(FileNotFoundError, match="daily_delays holds no Parquet file"):
        publish(warehouse, folder, rows)


def test_a_staging_table_of_a_run_that_never_came_back_is_dropped(warehouse, monkeypatch):
    from datetime import timedelta

    loader.create_tables(warehouse)
    warehouse.command("CREATE TABLE warehouse.staging__flights__gone AS warehouse.flights")
    assert loader.drop_forgotten(warehouse) == 0
    monkeypatch.setattr(loader, "FORGOTTEN", timedelta(seconds=-1))
    assert loader.drop_forgotten(warehouse) == 1
    assert tables(warehouse) == set(loader.KEYS)
