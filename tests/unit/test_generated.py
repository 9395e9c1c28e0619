"""Generated days in the warehouse: chunks of one run do not meet, and a wrong total is found and named."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from answers.operate import generate as generator
from include.flights import engine, feed
from include.flights import publish as publication
from include.flights import warehouse as loader
from include.flights.generated import verify_totals
from include.flights.publish import publish_day
from support import interval

DAYS = ("2013-06-12", "2013-06-13")


@pytest.fixture
def chunks(warehouse, tmp_path):
    """Two generated days and what landed of them, transformed by the engine: [(chunk, landed)]."""
    made = generator.generate(tmp_path / "feed", [date.fromisoformat(day) for day in DAYS], copies=2)
    landed = [feed.land_interval(Path(chunk.folder), tmp_path, *interval(chunk.day), run="run") for chunk in made]
    for each in landed:
        engine.transform_files(warehouse, Path(each["folder"]))
    return list(zip(made, landed, strict=True))


def publish(client, chunk, landed):
    day = date.fromisoformat(chunk.day)
    return publish_day(client, Path(landed["folder"]), day, day, chunk.rows, "run", loader.GENERATED)


@pytest.mark.claim("7.4")
def test_chunks_of_one_run_that_are_published_at_the_same_time_do_not_meet(warehouse, chunks, monkeypatch):
    validate, (first, second) = publication.validate_staged, chunks

    def meanwhile(*args):
        monkeypatch.setattr(publication, "validate_staged", validate)
        publish(warehouse, *second)
        return validate(*args)

    monkeypatch.setattr(publication, "validate_staged", meanwhile)
    publish(warehouse, *first)
    assert verify_totals(warehouse, [chunk for chunk, _ in chunks])["rows"] == sum(chunk.rows for chunk, _ in chunks)


@pytest.mark.claim("7.4")
def test_each_total_that_is_another_one_is_named(warehouse, chunks):
    for chunk, landed in chunks:
        publish(warehouse, chunk, landed)
    (chunk, _), *_ = chunks
    for wrong in ({"rows": chunk.rows + 1}, {"cancelled": chunk.cancelled - 1}):
        (name,) = wrong
        with pytest.raises(loader.ValidationError, match=rf"^{chunk.day}: {name} is \d+, should be {wrong[name]}$"):
            verify_totals(warehouse, [replace(chunk, **wrong)])
    for name in generator.TOTALLED:
        off = replace(chunk, totals=chunk.totals | {name: chunk.totals[name] + 1})
        with pytest.raises(loader.ValidationError, match=f"^{chunk.day}: {name} is"):
            verify_totals(warehouse, [off])


def test_a_day_that_is_not_there_at_all_is_named(warehouse, chunks):
    loader.create_tables(warehouse, loader.GENERATED)
    with pytest.raises(loader.ValidationError, match="2013-06-12: rows is 0, should be"):
        verify_totals(warehouse, [chunk for chunk, _ in chunks])
