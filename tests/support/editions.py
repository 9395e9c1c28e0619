"""Publishes editions of a day: the day without some of its carriers, as a feed that lost them would leave it."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from include.flights import engine, versions
from include.flights import warehouse as loader
from include.flights.publish import publish_day
from support import expected, open_warehouse
from support.publishing import landed_day

DAY = date(2013, 6, 13)


class Editions:
    """Makes editions, each once."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._made: dict[tuple[str, date], tuple[Path, int]] = {}
        self._landed: dict[date, Path] = {}

    def __call__(self, without: str = "", day: date = DAY) -> tuple[Path, int]:
        """Return the folder of a day without these carriers, and its number of flights."""
        if (without, day) not in self._made:
            self._made[without, day] = self._make(without, self._transformed(day))
        return self._made[without, day]

    def _transformed(self, day: date) -> Path:
        if day not in self._landed:
            self._landed[day] = Path(landed_day(self._folders.mktemp("day"), str(day), run="versions")["folder"])
            with open_warehouse() as client:
                engine.transform_files(client, self._landed[day])
        return self._landed[day] / "transformed"

    def _make(self, without: str, whole: Path) -> tuple[Path, int]:
        folder, counts = self._folders.mktemp("edition"), {}
        for table in loader.KEYS:
            (file,) = (whole / table).glob("*.parquet")
            rows = pq.read_table(file)
            left = rows.filter(
                pc.invert(pc.is_in(rows["carrier"].cast("string"), pa.array(without.split() or ["none"])))
            )
            (folder / "transformed" / table).mkdir(parents=True)
            pq.write_table(left, folder / "transformed" / table / "part-0.parquet")
            counts[table] = left.num_rows
        return folder, counts["flights"]


def publish(client, edition: tuple[Path, int], run: str = "run", day: date = DAY) -> None:
    """Publish an edition of a day."""
    publish_day(client, edition[0], day, day, edition[1], run)


def assert_live(client, without: str = "", day: date = DAY) -> None:
    """Fail unless the day's tables are those of pandas without these carriers."""
    for table, wanted, key in (
        ("flights", expected.flights(day, day), expected.FLIGHT_KEY),
        ("daily_delays", expected.daily_delays(day, day), expected.DAILY_DELAYS_KEY),
    ):
        wanted = wanted[~wanted["carrier"].isin(without.split())]
        actual = client.query_df(f"SELECT * FROM warehouse.{table} WHERE flight_date = '{day}'")
        if wanted.empty:
            assert actual.empty
        else:
            expected.assert_equal(actual, wanted, key)
    features = client.query(f"SELECT count() FROM warehouse.delay_features WHERE flight_date = '{day}'").result_rows
    flights = expected.flights(day, day)
    assert features == [((~flights["carrier"].isin(without.split())).sum(),)]


def events(client, day: date = DAY) -> list[tuple[str, int, int]]:
    """List what the history of a day says: action, version, version before."""
    return [(event.action, event.version, event.before) for event in versions.history(client, day).events]
