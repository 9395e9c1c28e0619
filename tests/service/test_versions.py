"""Versions of a day: kept by each publication, restored, taken back; whatever dies in between, the next try completes it."""

from datetime import date

import pytest

from include.flights import versions
from include.flights import warehouse as loader
from support import contents, expected
from support.editions import DAY, Editions, assert_live, events, publish

OTHER = date(2013, 6, 14)


@pytest.fixture(scope="module")
def editions(tmp_path_factory):
    return Editions(tmp_path_factory)


@pytest.mark.claim("8.4")
def test_a_rollback_restores_the_last_good_day_and_can_be_undone_and_leaves_other_days_alone(warehouse, editions):
    publish(warehouse, editions(day=OTHER), day=OTHER)
    publish(warehouse, editions())
    before = contents(warehouse)
    publish(warehouse, editions("UA B6"))
    assert_live(warehouse, "UA B6")
    after = contents(warehouse)

    report = versions.rollback_day(warehouse, DAY, "me")
    assert (report["action"], report["from"], report["to"], report["rows"]["flights"]) == ("rollback", 2, 1, 989)
    assert contents(warehouse) == before
    assert_live(warehouse)
    assert_live(warehouse, day=OTHER)

    assert versions.undo_rollback(warehouse, DAY, "me again")["to"] == 2
    assert contents(warehouse) == after
    assert events(warehouse) == [("publish", 1, 0), ("publish", 2, 1), ("rollback", 1, 2), ("undo", 2, 1)]
    assert events(warehouse, OTHER) == [("publish", 1, 0)]


@pytest.mark.claim("8.4")
def test_the_same_task_goes_back_once_however_often_it_runs(warehouse, editions):
    for without in ("", "UA", "B6"):
        publish(warehouse, editions(without))
    for _ in range(3):
        assert versions.rollback_day(warehouse, DAY, "task of a run")["to"] == 2
        assert_live(warehouse, "UA")
    assert events(warehouse)[3:] == [("rollback", 2, 3)]
    assert versions.rollback_day(warehouse, DAY, "another one")["to"] == 1, "asked anew, it goes back once more"
    for _ in range(2):
        assert versions.undo_rollback(warehouse, DAY, "undone")["to"] == 2
    assert versions.undo_rollback(warehouse, DAY, "undone too")["to"] == 3
    assert_live(warehouse, "B6")


@pytest.mark.claim("8.4")
def test_what_was_rolled_back_is_never_restored_as_the_last_good_version(warehouse, editions):
    for without in ("", "UA"):
        publish(warehouse, editions(without))
    versions.rollback_day(warehouse, DAY, "first")
    publish(warehouse, editions("B6"))
    assert versions.rollback_day(warehouse, DAY, "second")["to"] == 1, "version 2 was bad"
    publish(warehouse, editions("UA"))
    with pytest.raises(
        versions.NothingToRestore, match="has no rollback to undo: the last event is publish of version 4"
    ):
        versions.undo_rollback(warehouse, DAY, "too late")
    assert_live(warehouse, "UA")


@pytest.mark.claim("8.4")
def test_there_is_nothing_to_restore(warehouse, editions):
    with pytest.raises(versions.NothingToRestore, match="2013-06-13 was never published"):
        versions.rollback_day(warehouse, DAY, "x")
    publish(warehouse, editions())
    before = contents(warehouse)
    with pytest.raises(versions.NothingToRestore, match="is at version 1 and a good version before it is not kept"):
        versions.rollback_day(warehouse, DAY, "x")
    with pytest.raises(versions.NothingToRestore, match="version 7 is not kept; kept: 1"):
        versions.rollback_day(warehouse, DAY, "x", to=7)
    with pytest.raises(versions.NothingToRestore, match="no rollback to undo"):
        versions.undo_rollback(warehouse, DAY, "x")
    assert contents(warehouse) == before
    assert events(warehouse) == [("publish", 1, 0)]


@pytest.mark.claim("8.4")
def test_the_same_contents_make_no_version_and_the_three_before_the_newest_are_kept(warehouse, editions):
    carriers = ["", "UA", "B6", "EV", "DL"]
    for without in carriers:
        for run in ("run", "another run"):
            publish(warehouse, editions(without), run)
    past = versions.history(warehouse, DAY)
    assert (len(past.events), sorted(past.restorable)) == (5, [2, 3, 4, 5])
    for number, without in ((4, "EV"), (3, "B6"), (2, "UA")):
        assert versions.rollback_day(warehouse, DAY, f"to {number}")["to"] == number
        assert_live(warehouse, without)
    with pytest.raises(versions.NothingToRestore):
        versions.rollback_day(warehouse, DAY, "further")
    assert versions.rollback_day(warehouse, DAY, "forward", to=5)["to"] == 5
    assert_live(warehouse, "DL")


@pytest.mark.claim("8.4")
def test_an_empty_day_is_a_version_too(warehouse, editions):
    everybody = " ".join(sorted(set(expected.flights(DAY, DAY)["carrier"])))
    publish(warehouse, editions())
    publish(warehouse, editions(everybody))
    assert_live(warehouse, everybody)
    assert versions.rollback_day(warehouse, DAY, "x")["rows"]["flights"] == 989
    assert_live(warehouse)
    assert versions.undo_rollback(warehouse, DAY, "x")["rows"] == dict.fromkeys(loader.KEYS, 0)
    assert_live(warehouse, everybody)


@pytest.mark.claim("8.4")
def test_what_is_live_and_damaged_is_repaired_before_anything_goes_back(warehouse, editions):
    for without in ("", "UA"):
        publish(warehouse, editions(without))
    warehouse.command("ALTER TABLE warehouse.flights DELETE WHERE carrier = 'DL' SETTINGS mutations_sync = 2")
    assert versions.rollback_day(warehouse, DAY, "x")["action"] == "repair"
    assert_live(warehouse, "UA")
    assert len(events(warehouse)) == 2
    warehouse.command("TRUNCATE TABLE warehouse.flights")
    assert versions.rollback_day(warehouse, DAY, "x", bad=2)["to"] == 1, "unless it is known to be bad"
    assert_live(warehouse)


def test_a_day_that_was_published_before_there_were_versions_becomes_one(warehouse, editions):
    publish(warehouse, editions())
    warehouse.command("DROP DATABASE warehouse_history SYNC")
    publish(warehouse, editions("UA"))
    assert events(warehouse) == [("found", 1, 0), ("publish", 2, 1)]
    versions.rollback_day(warehouse, DAY, "x")
    assert_live(warehouse)


@pytest.mark.claim("8.4")
def test_a_version_that_is_not_whole_is_refused(warehouse, editions):
    for without in ("", "UA"):
        publish(warehouse, editions(without))
    warehouse.command("TRUNCATE TABLE warehouse_history.daily_delays_1")
    with pytest.raises(
        versions.NothingToRestore, match="version 1 of 2013-06-13 is not whole: daily_delays; nothing was"
    ):
        versions.rollback_day(warehouse, DAY, "x")
    assert_live(warehouse, "UA")


@pytest.mark.claim("8.4")
def test_a_warehouse_that_goes_down_in_the_middle_of_a_rollback_costs_a_retry(warehouse, editions):
    """The client loses its server before each of the statements that change something, one after the other."""
    from clickhouse_connect.driver.exceptions import OperationalError

    for without in ("", "UA", "B6"):
        publish(warehouse, editions(without))

    class Failing:
        """The client of a server that goes down before its n-th change."""

        def __init__(self, after: int) -> None:
            self.left = after
            self.query, self.uri = warehouse.query, warehouse.uri

        def _changing(self, change, *args, **kwargs):
            if self.left == 0:
                raise OperationalError("Connection refused")
            self.left -= 1
            return change(*args, **kwargs)

        def command(self, sql, **kwargs):
            change = warehouse.command
            return self._changing(change, sql, **kwargs) if sql.startswith("ALTER") else change(sql, **kwargs)

        def insert(self, *args, **kwargs):
            return self._changing(warehouse.insert, *args, **kwargs)

    before = contents(warehouse)
    for after in range(3):  # its event, the first table, the third one
        with pytest.raises(OperationalError):
            versions.rollback_day(Failing(after), DAY, "task of a run")
        assert (contents(warehouse) == before) is (after <= 1)
    assert versions.rollback_day(warehouse, DAY, "task of a run")["to"] == 2
    assert_live(warehouse, "UA")
