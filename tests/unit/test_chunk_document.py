"""Keeps the last good version of question 3's document in force while the object is missing or broken."""

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from include.chunks.config import ConfigInvalid
from include.chunks.document import LAST_GOOD, ConfigUnreadable, choose_version
from support import running_beside
from support.chunk_document import GOOD, changed

# -- the version in force


@pytest.fixture
def document(tmp_path) -> Path:
    """A good document."""
    file = tmp_path / "q03.json"
    file.write_text(json.dumps(GOOD))
    return file


@pytest.mark.claim("3.4")
def test_the_current_version_is_in_force_and_kept(document, tmp_path):
    found = choose_version(document, tmp_path)
    assert (found["version"], found["why"], found["url"]) == ("current", None, str(document))
    assert found["document"] == GOOD
    kept = json.loads((tmp_path / LAST_GOOD).read_text())
    assert kept["digest"] == found["digest"]
    assert json.loads(kept["document"]) == GOOD


def remove_file(file: Path) -> None:
    file.unlink()


def make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def write_half(file: Path) -> None:
    file.write_text(file.read_text()[:40])


def write_wrong_field(file: Path) -> None:
    file.write_text(json.dumps(changed("thresholds.spark_from_rows", "many")))


@pytest.mark.claim("3.4")
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (remove_file, "there is no such object"),
        (make_folder, "IsADirectoryError"),
        (write_half, "cut off"),
        (write_wrong_field, "$.thresholds.spark_from_rows"),
    ],
)
def test_while_the_object_is_broken_the_last_good_version_stays_in_force(document, tmp_path, damage, says, caplog):
    before = choose_version(document, tmp_path)
    damage(document)
    found = choose_version(document, tmp_path)
    assert found["version"] == "last good"
    assert says in found["why"]
    assert {**found, "version": "current", "why": None} == before
    assert "the last good version stays in force" in caplog.text
    assert choose_version(document, tmp_path) == found, "and again, however often it is read"


@pytest.mark.claim("3.4")
def test_a_mended_document_is_in_force_at_once(document, tmp_path):
    choose_version(document, tmp_path)
    write_wrong_field(document)
    assert choose_version(document, tmp_path)["version"] == "last good"
    document.write_text(json.dumps(changed("layers", ["daily_delays"])))
    found = choose_version(document, tmp_path)
    assert (found["version"], found["document"]["layers"]) == ("current", ["daily_delays"])


@pytest.mark.claim("3.4")
@pytest.mark.parametrize(("damage", "error"), [(write_wrong_field, ConfigInvalid), (remove_file, ConfigUnreadable)])
def test_without_a_good_version_it_is_an_error(document, tmp_path, damage, error):
    damage(document)
    with pytest.raises(error, match="No good version is kept"):
        choose_version(document, tmp_path)


@pytest.mark.parametrize(
    "tamper",
    [
        lambda text: text.replace("130", "140"),
        lambda text: text[:50],
        lambda text: "[]",
        lambda text: text.replace('"document"', '"documents"'),
    ],
    ids=["another threshold", "cut off", "a list", "no document"],
)
def test_a_kept_version_that_was_damaged_is_not_used(document, tmp_path, tamper):
    choose_version(document, tmp_path)
    kept = tmp_path / LAST_GOOD
    kept.write_text(tamper(kept.read_text()))
    remove_file(document)
    with pytest.raises(ConfigUnreadable):
        choose_version(document, tmp_path)


def test_a_byte_order_mark_does_no_harm(document, tmp_path):
    document.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())
    first = choose_version(document, tmp_path)
    remove_file(document)
    assert choose_version(document, tmp_path)["digest"] == first["digest"]


def test_a_crash_while_a_version_is_kept_leaves_the_one_before(document, tmp_path, monkeypatch):
    before = choose_version(document, tmp_path)
    document.write_text(json.dumps(changed("layers", ["daily_delays"])))

    def crash(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(OSError, match="no space left"):
        choose_version(document, tmp_path)
    remove_file(document)
    assert choose_version(document, tmp_path)["document"] == before["document"]
    assert [file.name for file in (tmp_path / LAST_GOOD).parent.iterdir()] == [LAST_GOOD.name]


def test_runs_that_start_together_never_see_half_a_version(document, tmp_path):
    def rewrite(stop: threading.Event) -> None:
        while not stop.is_set():
            choose_version(document, tmp_path)

    choose_version(document, tmp_path)
    with running_beside(rewrite):
        missing = tmp_path / "missing.json"
        found = [choose_version(missing, tmp_path)["version"] for _ in range(200)]
    assert set(found) == {"last good"}
    assert stat.S_IMODE((tmp_path / LAST_GOOD).stat().st_mode) == 0o644


@pytest.mark.claim("3.2")
def test_the_largest_version_and_its_reason_fit_a_small_xcom(document, tmp_path):
    everything = {name: {"skip_up_to_rows": 999_999, "spark_from_rows": 1_000_000} for name in ("EWR", "JFK", "LGA")}
    largest = GOOD | {
        "airports": list(everything),
        "carriers": [f"{n:02}" for n in range(40)],
        "overrides": everything,
        "layers": ["flights", "daily_delays"],
    }
    document.write_text(json.dumps(largest))
    choose_version(document, tmp_path)
    document.write_text(json.dumps({f"wrong{n}": n for n in range(500)}))
    found = choose_version(document, tmp_path)
    assert found["version"] == "last good"
    assert len(json.dumps(found)) < 2048
