"""The generated feed: seeded, of the real one's contract, with control totals that another reading of the bytes agrees with."""

import json
from datetime import date

import pandas as pd
import pytest
from typer.testing import CliRunner

from answers.cli.app import app
from answers.operate import generate as generator
from include.flights.contract import FeedError, FeedMissing
from include.flights.feed import default_feed, land_interval, read_interval
from include.flights.generated import read_chunks
from support import expected, interval
from support.command import answers

DAY = "2013-06-13"
COPIES = generator.BLOCK + 3  # more than one block


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    """A generated day of COPIES copies."""
    folder = tmp_path_factory.mktemp("feed")
    generator.generate(folder, [date.fromisoformat(DAY)], COPIES)
    return folder


@pytest.mark.claim("7.4")
def test_control_totals_are_what_pandas_reads_in_the_file(feed):
    (chunk,) = read_chunks(feed)
    table = pd.read_csv(feed / DAY / "flights.csv")
    assert chunk.rows == len(table) == COPIES * len(expected.flights(DAY, DAY))
    assert chunk.cancelled == table["dep_time"].isna().sum() > 0
    assert chunk.totals == {name: int(table[name].sum()) for name in generator.TOTALLED}
    assert chunk.raw_bytes == (feed / DAY / "flights.csv").stat().st_size


@pytest.mark.claim("7.4")
def test_a_generated_day_keeps_the_contract_and_the_first_copy_is_the_real_day(feed):
    generated = read_interval(feed / DAY, *interval(DAY))
    real = read_interval(default_feed(), *interval(DAY))
    assert generated["flights"].num_rows == COPIES * real["flights"].num_rows
    first = generated["flights"].slice(0, real["flights"].num_rows).drop(["source_row"])
    assert first.equals(real["flights"].drop(["source_row"]))
    for name in ("weather", "planes", "airports"):
        assert generated[name].drop(["source_row"]).equals(real[name].drop(["source_row"]))


@pytest.mark.claim("7.4")
def test_copies_differ_in_number_and_delays_and_their_clocks_follow(feed):
    table = pd.read_csv(feed / DAY / "flights.csv")
    flown = table[table["dep_time"].notna()]
    late = flown["dep_time"] // 100 * 60 + flown["dep_time"] % 100
    due = flown["sched_dep_time"] // 100 * 60 + flown["sched_dep_time"] % 100
    assert ((late - due - flown["dep_delay"]) % 1440 == 0).all()
    one = table[table["flight"] % generator.FLIGHT_NUMBERS == flown["flight"].iloc[0]]
    assert one["dep_delay"].nunique() > 5
    assert table["tailnum"].nunique() == table["tailnum"].iloc[: len(table) // COPIES].nunique()


@pytest.mark.claim("7.4")
def test_the_same_arguments_make_the_same_bytes_and_fewer_copies_their_beginning(feed, tmp_path):
    day = date.fromisoformat(DAY)
    whole = (feed / DAY / "flights.csv").read_bytes()
    for copies, seed in ((COPIES, 2013), (5, 2013), (COPIES, 1)):
        generator.generate(tmp_path, [day], copies, seed)
        again = (tmp_path / DAY / "flights.csv").read_bytes()
        assert whole.startswith(again) is (seed == 2013)
        assert (again == whole) is (copies == COPIES and seed == 2013)


@pytest.mark.claim("7.4")
def test_parquet_and_csv_of_a_feed_hold_the_same_records(feed, tmp_path):
    (chunk,) = generator.generate(tmp_path, [date.fromisoformat(DAY)], COPIES, fmt="parquet")
    (csv,) = read_chunks(feed)
    assert (chunk.control, chunk.raw_bytes) == (csv.control, csv.raw_bytes)
    for name, table in read_interval(tmp_path / DAY, *interval(DAY)).items():
        assert table.equals(read_interval(feed / DAY, *interval(DAY))[name]), name


def test_a_damaged_parquet_feed_is_named(tmp_path):
    generator.generate(tmp_path, [date.fromisoformat(DAY)], 1, fmt="parquet")
    file = tmp_path / DAY / "flights.parquet"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(FeedError, match=r"flights\.parquet, after row 1: the file is truncated or damaged"):
        land_interval(tmp_path / DAY, tmp_path / "data", *interval(DAY), run="x")


@pytest.mark.claim("7.4")
def test_a_key_that_occurs_twice_is_found_in_a_large_feed(feed, tmp_path):
    folder = tmp_path / "feed"
    folder.mkdir()
    for file in (feed / DAY).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    lines = (folder / "flights.csv").read_text().splitlines(keepends=True)
    (folder / "flights.csv").write_text("".join([*lines, lines[1000]]))
    with pytest.raises(
        FeedError, match=rf"row {len(lines) + 1}, column time_hour: duplicate key .*, first in row 1001"
    ):
        read_interval(folder, *interval(DAY))


@pytest.mark.parametrize(("copies", "fmt", "says"), [(0, "csv", "0 copies"), (1, "xml", "no format of a feed")])
def test_what_cannot_be_made_is_refused(tmp_path, copies, fmt, says):
    with pytest.raises(ValueError, match=says):
        generator.generate(tmp_path, [date.fromisoformat(DAY)], copies, fmt=fmt)


def test_a_feed_that_was_interrupted_does_not_look_whole(tmp_path):
    generator.generate(tmp_path, [date.fromisoformat(DAY)], 1)

    def interrupt(size):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generator.generate(tmp_path, [date.fromisoformat(DAY)], 1, progress=interrupt)
    with pytest.raises(FeedMissing, match="answers flights generate"):
        read_chunks(tmp_path)


def test_the_command_makes_the_size_that_was_asked_for_and_says_it_as_json(tmp_path):
    command = ("flights", "generate", "--to", str(tmp_path), "--json")
    made = json.loads(CliRunner().invoke(app, [*command, "--size", "2", "--days", "2"]).stdout)
    assert [day["day"] for day in made] == ["2013-06-10", "2013-06-11"]
    assert sum(day["raw_bytes"] for day in made) == pytest.approx(2e6, rel=0.15)
    assert "do not lie in 2013" in answers(*command, "--from", "2013-12-31", code=1).replace("\n", " ")
