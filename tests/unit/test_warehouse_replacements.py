"""Puts right what a kill has left of a REPLACE PARTITION, among the files of the parts."""

import json

import pytest

from answers.stack.warehouse.replacements import Replacement, Replacements

OLD, NEW = ["20130101_1_1_0", "20130101_2_4_1"], ["20130101_5_5_0", "20130101_6_6_0"]
OTHERS = ["20130102_3_3_0", "detached", "tmp_replace_from_20130101_5_5_0", "20130101_x"]


@pytest.fixture
def table(tmp_path):
    """The folder of a table, with parts of another partition and other folders."""
    folder = tmp_path / "table"
    for name in OTHERS:
        (folder / name).mkdir(parents=True)
    return folder


@pytest.mark.claim("1.4")
@pytest.mark.parametrize(
    ("there", "done", "left"),
    [
        (OLD, False, OLD),  # killed before anything happened
        ([*OLD, NEW[0]], False, OLD),  # in the middle of the new names: nobody was told that it is done
        ([*OLD, *NEW], False, NEW),  # before the old parts went
        ([OLD[1], *NEW], False, NEW),  # while they went
        ([*OLD, *NEW], True, NEW),  # after the client was told
        ([*OLD, "20130101_5_6_1"], True, ["20130101_5_6_1"]),  # the new ones merged since
        (NEW, True, NEW),
    ],
)
def test_either_the_old_parts_are_left_or_the_new_ones(table, tmp_path, there, done, left):
    for name in there:
        (table / name).mkdir()
        (table / name / "data.bin").write_text("rows")
    notes = Replacements(tmp_path / "notes")
    notes.folder.mkdir()
    replacement = Replacement(str(table), "20130101", OLD, 4, len(NEW), done)
    (notes.folder / "one.json").write_text(json.dumps(replacement.__dict__))
    removed = notes.recover()
    assert sorted(path.name for path in table.iterdir()) == sorted([*OTHERS, *left])
    assert len(removed) == len(there) - len(left)
    assert list(notes.folder.iterdir()) == []
    assert notes.recover() == []


def test_a_replacement_is_forgotten_once_the_old_files_are_gone(table, tmp_path):
    notes = Replacements(tmp_path / "notes")
    notes.folder.mkdir()
    replacement = Replacement(str(table), "20130101", OLD, 4, len(NEW), True)
    (notes.folder / "one.json").write_text(json.dumps(replacement.__dict__))
    (table / OLD[0]).mkdir()
    notes.forget()
    assert len(list(notes.folder.iterdir())) == 1
    (table / OLD[0]).rmdir()
    notes.forget()
    assert list(notes.folder.iterdir()) == []
