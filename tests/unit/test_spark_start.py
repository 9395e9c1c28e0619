"""Spark's JVM starts from an archive that is whole and fits, and from nothing else."""

import os

import pytest

from answers.stack import spark_archive
from include.flights.spark import LARGE_JOB, SMALL_JOB
from plugins import spark_start


@pytest.fixture
def machine(tmp_path):
    """A Java, a Spark and a folder of archives, as environment variables."""
    for part, name, text in (("java", "release", 'JAVA_VERSION="17.0.15"\n'), ("spark/jars", "core.jar", "classes")):
        (tmp_path / part).mkdir(parents=True)
        (tmp_path / part / name).write_text(text)
    (tmp_path / "archives").mkdir()
    homes = {"JAVA_HOME": "java", "SPARK_HOME": "spark", "ANSWERS_SPARK_ARCHIVES": "archives"}
    return {name: str(tmp_path / folder) for name, folder in homes.items()}


@pytest.fixture
def archive(machine, tmp_path):
    """An archive for this machine, published as the builder does it."""
    return publish(tmp_path, spark_start.archive_key(SMALL_JOB, machine), b"classes" * 1000)


def publish(tmp_path, key, content):
    made = tmp_path / "made"
    made.write_bytes(content)
    return spark_archive.publish_archive(made, tmp_path / "archives", key)


@pytest.mark.claim("7.6")
def test_the_published_archive_is_found_for_the_flags_that_it_was_made_with(machine, archive):
    assert spark_start.find_archive(SMALL_JOB, machine) == archive
    assert spark_start.find_archive(LARGE_JOB, machine) is None
    assert spark_start.find_archive(SMALL_JOB, machine | {"SPARK_SUBMIT_OPTS": "-Xint"}) is None


def grown(archive):
    archive.write_bytes(archive.read_bytes() + b"x")


def cut(archive):
    os.truncate(archive, archive.stat().st_size // 2)


def flipped(archive):
    content = bytearray(archive.read_bytes())
    content[3000] ^= 1
    archive.write_bytes(content)


def emptied(archive):
    archive.write_bytes(b"")


def writable_by_others(archive):
    archive.chmod(0o666)


@pytest.mark.claim("7.6")
@pytest.mark.parametrize("spoil", [grown, cut, flipped, emptied, writable_by_others, os.remove])
def test_an_archive_that_is_not_as_it_was_made_is_not_used(machine, archive, spoil):
    spoil(archive)
    assert spark_start.prepare_start(SMALL_JOB, machine) == ({"SPARK_LAUNCHER_OPTS": spark_start.LAUNCHER}, None)


def test_an_unreadable_archive_is_not_used(machine, archive):
    archive.unlink()
    archive.mkdir()  # root reads every file
    assert spark_start.find_archive(SMALL_JOB, machine) is None


@pytest.mark.claim("7.6")
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("java/release", 'JAVA_VERSION="17.0.16"\n'),
        ("java/release", 'JAVA_VERSION="11.0.2"\n'),
        ("java/release", ""),
        ("spark/jars/core.jar", "other classes"),
        ("spark/jars/more.jar", ""),
    ],
)
def test_an_upgrade_of_java_or_spark_leaves_the_old_archive_aside(machine, archive, tmp_path, file, text):
    (tmp_path / file).write_text(text)
    assert spark_start.find_archive(SMALL_JOB, machine) is None


@pytest.mark.parametrize("gone", ["JAVA_HOME", "SPARK_HOME", "ANSWERS_SPARK_ARCHIVES"])
def test_what_is_not_there_is_no_error(machine, archive, gone):
    assert spark_start.find_archive(SMALL_JOB, machine | {gone: "/nowhere"}) is None


def test_switched_off_there_is_no_archive(machine, archive):
    assert spark_start.find_archive(SMALL_JOB, machine | {"ANSWERS_SPARK_ARCHIVES": "off"}) is None


@pytest.mark.parametrize(
    ("java", "flag"), [("17.0.15", "SharedArchiveFile"), ("24", "SharedArchiveFile"), ("25.0.2", "AOTCache")]
)
def test_the_jvm_is_given_the_archive_in_its_own_way(machine, tmp_path, java, flag):
    (tmp_path / "java" / "release").write_text(f'JAVA_VERSION="{java}"\n')
    mine = machine | {"SPARK_SUBMIT_OPTS": "-Dmine=1", "SPARK_LAUNCHER_OPTS": "-Xint"}
    archive = publish(tmp_path, spark_start.archive_key(SMALL_JOB, mine), b"classes")
    start = spark_start.prepare_start(SMALL_JOB, mine)
    assert start.variables["SPARK_SUBMIT_OPTS"] == f"-Dmine=1 -XX:{flag}={archive}"
    assert "SPARK_LAUNCHER_OPTS" not in start.variables, "the user's stay"


@pytest.mark.claim("7.6")
def test_sparks_defaults_still_count_though_their_folder_is_off_the_class_path(machine, archive, tmp_path):
    (tmp_path / "conf").mkdir()
    defaults = tmp_path / "conf" / "spark-defaults.conf"
    defaults.touch()
    configured = machine | {"SPARK_CONF_DIR": str(defaults.parent)}
    start = spark_start.prepare_start(SMALL_JOB, configured)
    assert start.properties_file == str(defaults)
    assert not os.path.exists(start.variables["SPARK_CONF_DIR"])
    (tmp_path / "conf" / "log4j2.properties").touch()
    assert spark_start.prepare_start(SMALL_JOB, configured).properties_file is None
    assert "SPARK_CONF_DIR" not in spark_start.prepare_start(SMALL_JOB, configured).variables, "nothing is hidden"


@pytest.mark.claim("7.6")
def test_the_longest_unused_archives_make_room(machine, archive, tmp_path, monkeypatch):
    size = archive.stat().st_size
    monkeypatch.setattr(spark_start, "LARGEST_TOTAL", 2 * size)
    other = publish(tmp_path, "b" * 16, b"another" * 1000)
    for file, used in ((archive, 2000), (other, 1000)):
        os.utime(file, (used, used))
    assert set((tmp_path / "archives").glob("*.archive")) == {archive, other}
    newest = publish(tmp_path, "c" * 16, b"classes" * 1000)
    assert set((tmp_path / "archives").glob("*.archive")) == {archive, newest}
    again = publish(tmp_path, "c" * 16, b"new")
    assert set((tmp_path / "archives").glob("*.archive")) == {archive, again}, "one for a key"


@pytest.mark.claim("7.6")
def test_one_builder_works_at_a_time(tmp_path):
    with (
        spark_archive.only_builder(tmp_path),
        pytest.raises(spark_archive.AnotherBuilder),
        spark_archive.only_builder(tmp_path),
    ):
        pass
    with spark_archive.only_builder(tmp_path) as lock:
        assert lock > 0
