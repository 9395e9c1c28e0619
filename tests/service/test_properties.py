"""Properties: of the loader, whatever is published and wherever it dies; of the feed, whatever stands in a cell."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from answers.cli import app as cli
from include.flights import warehouse as loader
from include.flights.contract import CONTRACT, FeedError
from include.flights.feed import default_feed, read_interval
from include.flights.publish import publish_day
from support import interval, open_warehouse

DAYS = ("2013-06-13", "2013-03-10")

# -- the loader


def day_of(folder: Path, day: str, flights: int, version: int) -> Path:
    """The folder of a transformed day, with made-up flights: all that the loader looks at. Versions differ in each table."""
    start = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC)
    at = pa.array([start + timedelta(minutes=n) for n in range(flights)], pa.timestamp("s", "UTC"))
    same = {"flight_date": pa.array([date.fromisoformat(day)] * flights, pa.date32()), "origin": ["EWR"] * flights}
    same |= {"carrier": ["UA"] * flights}
    shared = same | {"sched_dep_utc": at, "flight": pa.array(range(flights), pa.int32()), "dest": ["BOS"] * flights}
    delay, none = pa.array([version] * flights, pa.int32()), pa.nulls(flights, pa.int32())
    tables = {
        "flights": shared
        | {"tailnum": ["N1"] * flights, "sched_arr_utc": at, "dep_delay": delay, "arr_delay": delay, "air_time": none}
        | {"distance": pa.array([200] * flights, pa.int32()), "cancelled": [False] * flights}
        | {name: pa.nulls(flights, pa.float64()) for name in WEATHER}
        | dict.fromkeys(("plane_year", "plane_engines", "plane_seats"), none)
        | {name: pa.nulls(flights, pa.string()) for name in ("plane_manufacturer", "plane_model")}
        | {
            "weather_known": [False] * flights,
            "plane_known": [False] * flights,
            "source_row": pa.array(range(flights)),
        },
        "daily_delays": {name: values[:1] for name, values in same.items()}
        | {"flights": [flights] * bool(flights), "cancelled": [0] * bool(flights)}
        | {name: [float(version)] * bool(flights) for name in ("mean_dep_delay", "p90_dep_delay")}
        | {"on_time_share": [1.0] * bool(flights)},
        "delay_features": shared
        | {
            name: pa.array([1] * flights, pa.int32())
            for name in ("month", "weekday", "local_minute", "departures_in_hour")
        }
        | {"distance": pa.array([200 + version] * flights, pa.int32()), "late": [False] * flights}
        | dict.fromkeys(("sched_minutes", "plane_age", "plane_seats"), none)
        | {name: pa.nulls(flights, pa.float64()) for name in ("temp", "wind_speed", "precip", "visib")},
    }
    for name, columns in tables.items():
        target = folder / "transformed" / name
        target.mkdir(parents=True)
        pq.write_table(pa.table(columns), target / "part-0.parquet")
    return folder


WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    """(day, version) -> (folder, flights); the third version of a day has no flights."""
    folder = tmp_path_factory.mktemp("days")
    sizes = (5, 7, 0)
    return {
        (day, version): (day_of(folder / f"{day}-{version}", day, flights, version), flights)
        for day in DAYS
        for version, flights in enumerate(sizes)
    }


class Killed(BaseException):
    """No handler of the loader's sees it, as none sees a SIGKILL."""


class Dies:
    """A client that dies before its nth statement."""

    def __init__(self, client, after: int) -> None:
        self.client, self.left = client, after

    def __getattr__(self, name: str):
        real = getattr(self.client, name)
        if name not in ("command", "query", "raw_insert", "insert"):
            return real

        def call(*args, **kwargs):
            self.left -= 1
            if self.left < 0:
                raise Killed
            return real(*args, **kwargs)

        return call


def published_contents(client) -> dict[tuple[str, str], tuple]:
    """Return what a reader sees of each (table, day): the number of rows, and the version that they are of."""
    tells = {"flights": "dep_delay", "daily_delays": "toInt32(mean_dep_delay)", "delay_features": "distance - 200"}
    found = {}
    for table, version in tells.items():
        sql = f"SELECT toString(flight_date), count(), groupUniqArray({version}) FROM warehouse.{table} GROUP BY 1"
        found |= {(table, day): (rows, seen) for day, rows, seen in client.query(sql).result_rows}
    return found


def expected_contents(published: dict[str, tuple[int, int]]) -> dict[tuple[str, str], tuple]:
    found = {}
    for day, (version, flights) in published.items():
        for table in loader.KEYS if flights else ():
            found[table, day] = (1 if table == "daily_delays" else flights, [version])
    return found


@pytest.mark.claim("1.4")
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(DAYS), st.integers(0, 2), st.none() | st.integers(0, 60)), min_size=1, max_size=6
    )
)
def test_whatever_is_published_and_wherever_it_dies_a_day_is_the_last_one_published(warehouse, days, steps):
    """Each step publishes a version of a day; with a number, it dies before that statement and is tried again."""
    for database in ("warehouse", "warehouse_history"):
        warehouse.command(f"DROP DATABASE IF EXISTS {database} SYNC")
    client = warehouse
    published: dict[str, tuple[int, int]] = {}
    loader.create_tables(client)
    for number, (day, version, dies) in enumerate(steps):
        folder, flights = days[day, version]

        def publish(by, run=f"run {number}", day=day, folder=folder, flights=flights):
            on = date.fromisoformat(day)
            return publish_day(by, folder, on, on, flights, run)

        if dies is not None:
            before, after = expected_contents(published), expected_contents({**published, day: (version, flights)})
            try:
                publish(Dies(client, dies))
            except Killed:
                for key in before.keys() | after.keys():
                    assert published_contents(client).get(key) in (before.get(key), after.get(key)), (
                        "a partition is old or new"
                    )
        publish(client)
        published[day] = (version, flights)
        assert published_contents(client) == expected_contents(published)
        publish(client)
        assert published_contents(client) == expected_contents(published), "a second run changes nothing"
    tables = {name for (name,) in client.query("SHOW TABLES FROM warehouse").result_rows}
    assert tables == set(loader.KEYS), "no staging table is left"


def test_a_day_is_rolled_back_undone_and_listed_by_command(warehouse, days, monkeypatch):
    """`answers rollback`, on two versions of a day."""
    monkeypatch.setenv("COLUMNS", "300")
    day = DAYS[0]

    def answers(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli.app, ["rollback", "--date", day, *arguments])
        assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
        return done.output

    for version in (0, 1):
        folder, flights = days[day, version]
        on = date.fromisoformat(day)
        publish_day(warehouse, folder, on, on, flights, f"run {version}")
    assert published_contents(warehouse) == expected_contents({day: (1, 7)})
    warehouse.close()
    assert "version 1 is live again instead of 2 (rows: flights 5" in answers()
    assert "nothing was changed" in answers(code=1)
    assert json.loads(answers("--undo", "--json"))["to"] == 2
    assert [row["event"] for row in json.loads(answers("--list", "--json"))][:2] == ["publish", "publish"]
    assert "run 0" in answers("--list")
    with open_warehouse() as client:
        assert published_contents(client) == expected_contents({day: (1, 7)})


# -- the feed

FLIGHTS = [column.name for column in CONTRACT["flights"].columns]
DAY, ROWS = DAYS[0], 12


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    """(A feed of twelve flights with what they need of the other files, the text of its flights)."""
    import zipfile

    folder = tmp_path_factory.mktemp("feed")
    with zipfile.ZipFile(default_feed() / "flights.csv.zip") as archive:
        lines = archive.read("flights.csv").decode().splitlines()
    mine = [line for line in lines if line.startswith("2013,6,13,")][:ROWS]
    for name in ("weather", "planes", "airports"):
        text = (default_feed() / f"{name}.csv").read_text().splitlines()
        (folder / f"{name}.csv").write_text("\n".join(text[:50]) + "\n")
    return folder, [lines[0], *mine]


def read(feed: Path):
    """(The flights of the day by line of the file, None), or (None, the contract's error)."""
    try:
        return {row["source_row"]: row for row in read_interval(feed, *interval(DAY))["flights"].to_pylist()}, None
    except FeedError as error:
        return None, str(error)


cells = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters=',"\r\n'), max_size=12),
    st.integers(-(10**12), 10**12).map(str),
    st.sampled_from(
        ["", "NA", "2400", "24:00", "1e9", "-0", "+1", " 1", "1 ", "١٢", "²", "2013-06-13T25:00:00Z", "\x00"]
    ),
)


@pytest.mark.claim("1.5")
@settings(max_examples=300, deadline=None)
@given(row=st.integers(2, ROWS + 1), column=st.sampled_from(FLIGHTS), value=cells)
def test_a_cell_is_taken_as_it_stands_or_refused_by_file_row_and_column(feed, row, column, value):
    folder, lines = feed
    at = lines[0].split(",").index(column)
    cells = lines[row - 1].split(",")
    cells[at] = value
    changed = [*lines[: row - 1], ",".join(cells), *lines[row:]]
    (folder / "flights.csv").write_text("\n".join(changed) + "\n")
    found, why = read(folder)
    if found is None:
        assert re.match(r"flights\.csv, row (\d+), column \w+: ", why), why
        assert re.search(rf"\brow {row}\b", why), why
        return
    if row not in found:
        assert column in ("year", "month", "day"), "only another date takes a flight out of the day"
    else:
        assert found[row][column] == (None if value in ("", "NA") else value)
    others = [number for number in range(2, ROWS + 2) if number != row]
    assert [number for number in found if number != row] == others


@pytest.mark.claim("1.5")
@settings(max_examples=300, deadline=None)
@given(start=st.integers(0, 1200), length=st.integers(0, 40), new=st.binary(max_size=10))
def test_a_damaged_file_is_read_or_refused_never_anything_else(feed, start, length, new):
    folder, lines = feed
    good = ("\n".join(lines) + "\n").encode()
    (folder / "flights.csv").write_bytes(good[:start] + new + good[start + length :])
    found, why = read(folder)
    assert len(found) <= ROWS + new.count(b"\n") + new.count(b"\r") if why is None else why.startswith("flights.csv")
