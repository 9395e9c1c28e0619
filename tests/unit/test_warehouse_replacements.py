"""Puts right what a kill has left of a REPLACE PARTITION, among the files of the parts."""

import json
from dataclasses import asdict

import pytest

from answers.stack.warehouse.replacements import DONE, UNDER_WAY, Replacement, Replacements

OLD, NEW = ["20130101_1_1_0", "20130101_2_4_1"], ["20130101_5_5_0", "20130101_6_6_0"]
MERGED = "20130101_5_6_1"
OTHERS = ["20130102_3_3_0", "detached", "tmp_replace_from_20130101_5_5_0", "20130101_x"]


@pytest.fixture
def table(tmp_path):
    """The folder of a table, with parts of another partition and other folders."""
    folder = tmp_path / "table"
    for name in OTHERS:
        (folder / name).mkdir(parents=True)
    return folder


@pytest.fixture
def notes(table, tmp_path):
    """Notes of one replacement: `DONE` or `UNDER_WAY` says how far it is."""

    def note(ending: str) -> Replacements:
        notes = Replacements(tmp_path / "notes")
        notes.folder.mkdir()
        replacement = Replacement(str(table), "20130101", OLD, 4, len(NEW))
        (notes.folder / f"one{ending}").write_text(json.dumps(asdict(replacement)))
        return notes

    return note


@pytest.mark.claim("1.4")
@pytest.mark.parametrize(
    ("there", "ending", "left"),
    [
        (OLD, UNDER_WAY, OLD),  # killed before anything happened
        ([*OLD, NEW[0]], UNDER_WAY, OLD),  # in the middle of the new names: nobody was told that it is done
        ([*OLD, *NEW], UNDER_WAY, NEW),  # before the old parts went
        ([OLD[1], *NEW], UNDER_WAY, NEW),  # while they went
        ([*OLD, MERGED], UNDER_WAY, [MERGED]),  # merged before the note was renamed
        ([*OLD, *NEW], DONE, NEW),  # after the client was told
        ([*OLD, MERGED], DONE, [MERGED]),  # the new ones merged since
        (NEW, DONE, NEW),
    ],
)
def test_either_the_old_parts_are_left_or_the_new_ones(table, notes, there, ending, left):
    for name in there:
        (table / name).mkdir()
        (table / name / "data.bin").write_text("rows")
    found = notes(ending)
    removed = found.recover()
    assert sorted(path.name for path in table.iterdir()) == sorted([*OTHERS, *left])
    assert len(removed) == len(there) - len(left)
    assert list(found.folder.iterdir()) == []
    assert found.recover() == []


def test_a_note_that_was_being_written_is_removed(notes):
    found = notes(UNDER_WAY)
    (found.folder / ".two.json.abc.part").write_text("{")
    assert found.recover() == []
    assert list(found.folder.iterdir()) == []


def test_a_replacement_is_forgotten_once_the_old_files_are_gone(table, notes):
    found = notes(DONE)
    (table / OLD[0]).mkdir()
    found.forget()
    assert len(list(found.folder.iterdir())) == 1
    (table / OLD[0]).rmdir()
    found.forget()
    assert list(found.folder.iterdir()) == []


def test_a_replacement_that_is_under_way_is_not_forgotten(notes):
    found = notes(UNDER_WAY)
    found.forget()
    assert len(list(found.folder.iterdir())) == 1
