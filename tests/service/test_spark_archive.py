"""The class archive of a real JVM: a real job makes it once, a real job starts from it, and nothing half-made stays."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import psutil
import pytest

from answers.stack import spark_archive
from include.flights.spark import SMALL_JOB
from plugins import spark_start
from support import PROJECT, expected, wait_for
from support.publishing import landed_day

DAY = "2013-06-14"  # not the day that the archive was made with
BUILDER = [sys.executable, "-m", "answers.stack.spark_archive", "--now"]


def environment(archives: Path) -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}
    return given | {"ANSWERS_SPARK_ARCHIVES": str(archives), "SPARK_LOCAL_IP": "127.0.0.1"}


def builder(archives: Path, log: Path) -> subprocess.Popen:
    with log.open("w") as stream:
        return subprocess.Popen(
            BUILDER, env=environment(archives), cwd=PROJECT, stdout=stream, stderr=subprocess.STDOUT
        )


def training(process: subprocess.Popen) -> list[psutil.Process]:
    """Return the JVMs that the builder has running."""
    return [each for each in psutil.Process(process.pid).children(recursive=True) if each.name() == "java"]


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Make a folder with the archive of this machine's Java and Spark. While it was made, a second builder came and went."""
    folder = tmp_path_factory.mktemp("archives")
    first = builder(folder, folder / "log")
    try:
        wait_for("the job of the first builder", lambda: training(first))
        second = subprocess.run(BUILDER, env=environment(folder), cwd=PROJECT, capture_output=True, text=True)
        assert (second.returncode, second.stdout) == (0, "another process makes the class archive\n"), second.stderr
        assert first.wait() == 0, (folder / "log").read_text()
    finally:
        end(first)
    return folder


def job(landed: str, environ: dict[str, str]) -> list[str]:
    """Return the sources from which the JVM of a day's job loads its classes."""
    conf = [word for name, value in SMALL_JOB.items() for word in ("--conf", f"{name}={value}")]
    log = Path(landed) / "classes.log"
    options = f"{environ.get('SPARK_SUBMIT_OPTS', '')} -Xlog:class+load:file={log}"
    command = ["spark-submit", "--master", "local[1]", *conf, "include/flights/transform.py", landed]
    env = environ | {"SPARK_SUBMIT_OPTS": options}
    done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    # What the JVM makes at run time, for each lambda, is in no archive of Java 17.
    return [line for line in log.read_text().splitlines() if "spark" in line and "Lambda" not in line]


@pytest.mark.claim("7.6")
def test_a_days_job_takes_sparks_classes_from_the_archive_and_publishes_the_same(archives, tmp_path):
    environ = environment(archives)
    archive = spark_start.find_archive(SMALL_JOB, environ)
    assert archive.stat().st_size <= spark_start.LARGEST_TOTAL
    assert sorted(file.name for file in archives.iterdir()) == sorted([archive.name, "lock", "log"])
    landed = landed_day(tmp_path, DAY)["folder"]
    loaded = job(landed, environ | spark_start.prepare_start(SMALL_JOB, environ).variables)
    shared, from_jars = ([line for line in loaded if f"source: {of}" in line] for of in ("shared objects", "file:"))
    assert len(shared) > 3000
    assert len(from_jars) < 0.1 * len(shared)
    flights = pd.read_parquet(f"{landed}/transformed/flights")
    expected.assert_equal(flights, expected.flights(DAY, DAY), expected.FLIGHT_KEY)


@pytest.mark.claim("7.6")
@pytest.mark.parametrize("spoil", ["foreign", "gone"])
def test_a_jvm_that_is_given_a_bad_archive_all_the_same_runs_without_it(archives, tmp_path, spoil):
    """A file may go between the look and the start. (Half of an archive crashes Java 17: hence the look at every byte.)"""
    environ = environment(archives)
    bad = tmp_path / "bad"
    if spoil == "foreign":
        bad.write_bytes(os.urandom(1 << 20))
    option, _, _ = spark_start.prepare_start(SMALL_JOB, environ).variables["SPARK_SUBMIT_OPTS"].rpartition("=")
    given = environ | spark_start.start_variables(archives, f"{option}={bad}", environ)
    done = subprocess.run(["spark-submit", "--version"], env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "version 4." in done.stderr


def test_where_the_archive_is_there_a_builder_has_nothing_to_do(archives):
    done = subprocess.run(BUILDER, env=environment(archives), cwd=PROJECT, capture_output=True, text=True)
    assert done.stdout == f"Spark starts from {spark_start.find_archive(SMALL_JOB, environment(archives))}\n", (
        done.stderr
    )


@pytest.mark.claim("7.6")
def test_a_builder_that_is_ended_leaves_no_process_and_no_half_archive(tmp_path):
    process = builder(tmp_path / "archives", tmp_path / "log")
    try:
        wait_for("the job of the builder", lambda: training(process))
        running = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        assert process.wait() != 0
        psutil.wait_procs(running, timeout=60)
        assert not [each for each in running if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
        assert [file.name for file in (tmp_path / "archives").iterdir()] == ["lock"]
        assert "Traceback" not in (tmp_path / "log").read_text()
    finally:
        end(process)


def test_what_a_killed_builder_left_is_removed_by_the_next(tmp_path, monkeypatch):
    left = tmp_path / f"{spark_archive.TRAINING}killed"
    left.mkdir()
    (left / "archive").write_bytes(b"half of it")
    monkeypatch.setattr(spark_archive, "disk_available", lambda folder: 0)
    with spark_archive.only_builder(tmp_path) as lock, pytest.raises(OSError, match="are free"):
        spark_archive.make_archive(tmp_path, lock, gently=True)
    assert [file.name for file in tmp_path.iterdir()] == ["lock"], "and without room nothing is begun"
