"""The feed and its contract: a run sees its own interval, and damage is named by file, row and column."""

import gzip
import zipfile

import pytest

from include.flights.contract import FeedError, FeedMissing
from include.flights.days import local_days
from include.flights.feed import default_feed, land_interval, read_interval
from include.flights.landed import remove_old_runs
from support import expected, interval

DAY = "2013-06-13"


def change_cell(row: int, column: str, value: str):
    """A change of one cell; rows are lines of the file, the header being 1."""

    def change(text: str) -> str:
        lines = text.splitlines()
        cells = lines[row - 1].split(",")
        cells[lines[0].split(",").index(column)] = value
        lines[row - 1] = ",".join(cells)
        return "\n".join(lines) + "\n"

    return change


@pytest.mark.claim("1.6")
@pytest.mark.parametrize(
    "day",
    [
        pytest.param("2013-01-01", id="first"),
        pytest.param("2013-03-10", id="23-hours"),
        pytest.param("2013-06-13", id="24-hours"),
        pytest.param("2013-11-03", id="25-hours"),
        pytest.param("2013-12-31", id="last"),
    ],
)
def test_a_run_sees_exactly_the_flights_of_its_own_day(day):
    flights = read_interval(default_feed(), *interval(day))["flights"].to_pandas()
    wanted = expected.flights(day, day)
    assert len(flights) == len(wanted) > 600
    keys = zip(flights["carrier"], flights["flight"].astype(int), flights["sched_dep_time"].astype(int), strict=True)
    local = wanted["sched_dep_utc"].dt.tz_convert("America/New_York")
    clock = local.dt.hour * 100 + local.dt.minute
    assert sorted(keys) == sorted(zip(wanted["carrier"], wanted["flight"], clock, strict=True))


@pytest.mark.claim("1.6")
def test_an_empty_interval_as_a_bare_cron_string_gives_it_is_refused():
    start, _ = interval(DAY)
    with pytest.raises(ValueError, match="CronDataIntervalTimetable"):
        local_days(start, start)


@pytest.mark.claim("1.6")
def test_an_interval_that_cuts_a_partition_is_refused():
    start, end = interval(DAY)
    with pytest.raises(ValueError, match="whole days"):
        local_days(start, end.replace(hour=6))


@pytest.mark.claim("1.5")
@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        pytest.param(
            "flights",
            lambda text: text.replace("dep_delay", "departure_delay", 1),
            r"flights\.csv, row 1: column dep_delay is missing; unknown column departure_delay: renamed\?",
            id="renamed-column",
        ),
        pytest.param(
            "weather",
            lambda text: text.replace("wind_speed,", "", 1),
            r"weather\.csv, row 1: column wind_speed is missing",
            id="missing-column",
        ),
        pytest.param(
            "flights",
            change_cell(57, "distance", "far"),
            r"flights\.csv, row 57, column distance: 'far' is not an integer",
            id="wrong-type",
        ),
        pytest.param(
            "flights",
            change_cell(58, "sched_arr_time", "1260"),
            r"flights\.csv, row 58, column sched_arr_time: '1260' is not a clock time",
            id="impossible-clock",
        ),
        pytest.param(
            "flights",
            change_cell(9, "day", "x13"),
            r"flights\.csv, row 9, column day: 'x13' is not a part of a date",
            id="no-date",
        ),
        pytest.param(
            "flights",
            change_cell(12, "carrier", ""),
            r"flights\.csv, row 12, column carrier: None is missing",
            id="null-where-none-may-be",
        ),
        pytest.param(
            "flights",
            change_cell(5, "time_hour", "2013-07-01T10:00:00Z"),
            r"flights\.csv, row 5, column time_hour: '2013-07-01T10:00:00Z' is outside of the data interval",
            id="outside-the-interval",
        ),
        pytest.param(
            "flights",
            change_cell(5, "time_hour", "2013-06-13T23:00:00Z"),
            r"flights\.csv, row 5, column time_hour: '2013-06-13T23:00:00Z' is 2013-06-13 19h",
            id="clock-and-utc-disagree",
        ),
        pytest.param(
            "flights",
            lambda text: text + text.splitlines(keepends=True)[30],
            r"flights\.csv, row 991, column time_hour: duplicate key .* first in row 31",
            id="duplicate-key",
        ),
        pytest.param("flights", lambda text: "", r"flights\.csv, row 1: the file is empty", id="empty-file"),
        pytest.param(
            "flights",
            lambda text: text[:-60],
            r"flights\.csv, row 990: Expected 19 columns, got 9",
            id="truncated-text",
        ),
        pytest.param(
            "airports",
            lambda text: text.replace("America/Chicago", "America/Chikago", 1),
            r"airports\.csv, row \d+, column tzone: 'America/Chikago' is not a time zone",
            id="unknown-zone",
        ),
        pytest.param(
            "flights",
            lambda text: text.encode().replace(b",UA,", b",\xff\xfe,", 1),
            r"flights\.csv, row \d+, column carrier: not UTF-8",
            id="not-utf-8",
        ),
    ],
)
def test_damage_is_named_by_file_row_and_column(make_feed, file, change, message):
    with pytest.raises(FeedError, match=message):
        read_interval(make_feed(DAY, **{file: change}), *interval(DAY))


@pytest.mark.claim("1.5")
def test_the_row_is_right_in_a_file_of_many_blocks_too(tmp_path):
    with zipfile.ZipFile(default_feed() / "flights.csv.zip") as archive:
        lines = archive.read("flights.csv").splitlines(keepends=True)
    lines[299_999] = b"2013,oops\n"
    (tmp_path / "flights.csv").write_bytes(b"".join(lines))
    with pytest.raises(FeedError, match=r"flights\.csv, row 300000: Expected 19 columns, got 2"):
        read_interval(tmp_path, *interval(DAY))


@pytest.mark.claim("1.5")
def test_a_truncated_gzip_is_named(make_feed):
    feed = make_feed(DAY, suffix=".csv.gz", flights=lambda text: gzip.compress(text.encode())[:-2000])
    with pytest.raises(FeedError, match=r"flights\.csv\.gz, after row \d+: the file is truncated or damaged"):
        read_interval(feed, *interval(DAY))


def test_gzip_and_plain_text_are_read_alike(make_feed):
    plain, zipped = (read_interval(make_feed(DAY, suffix=suffix), *interval(DAY)) for suffix in (".csv", ".csv.gz"))
    assert plain["flights"].equals(zipped["flights"])
    assert plain["flights"].num_rows == len(expected.flights(DAY, DAY))


@pytest.mark.claim("1.5")
def test_a_file_that_is_not_there_yet_is_worth_a_retry(make_feed):
    with pytest.raises(FeedMissing, match=r"no flights\.csv .* not delivered yet"):
        read_interval(make_feed(DAY, flights=lambda text: None), *interval(DAY))


def test_damage_in_another_day_does_not_concern_this_run(make_feed):
    lines = make_feed("2013-06-14") / "flights.csv"
    other_day = lines.read_text().splitlines()[1].replace(",", ",?", 4).replace(",?", ",", 3)
    feed = make_feed(DAY, flights=lambda text: text + other_day + "\n")
    assert read_interval(feed, *interval(DAY))["flights"].num_rows == len(expected.flights(DAY, DAY))


def test_a_day_without_flights_is_an_empty_table(make_feed):
    tables = read_interval(make_feed(DAY), *interval("2013-06-14"))
    assert tables["flights"].num_rows == 0
    assert tables["weather"].num_rows == 3 * 24


def test_two_runs_of_a_day_land_in_folders_of_their_own(tmp_path, make_feed):
    feed = make_feed(DAY)
    first, second = (land_interval(feed, tmp_path, *interval(DAY), run=run) for run in ("a", "b/../c"))
    assert first["folder"] != second["folder"]
    assert {key: first[key] for key in ("rows", "first_day", "last_day")} == {
        "rows": len(expected.flights(DAY, DAY)),
        "first_day": DAY,
        "last_day": DAY,
    }
    assert land_interval(feed, tmp_path, *interval(DAY), run="a") == first
    assert {folder.parent for folder in tmp_path.glob("runs/*")} == {tmp_path / "runs"}


def test_folders_of_old_runs_are_forgotten(tmp_path):
    import os

    for name, age in (("old", 8), ("new", 6)):
        (tmp_path / name).mkdir()
        seconds = (tmp_path / name).stat().st_mtime - age * 86400
        os.utime(tmp_path / name, (seconds, seconds))
    remove_old_runs(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
