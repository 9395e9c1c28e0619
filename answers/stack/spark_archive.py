"""Makes the class archive from which a day's Spark jobs start (plugins/spark_start.py), once.

Run as `python -m answers.stack.spark_archive`: a part of the embedded stack, which ends when the archive is there. It runs
one real day's job with the very flags of SMALL_JOB, and the JVM writes the archive when that ends.

Nobody waits for it, and it stands in nobody's way: it begins when the machine has been idle for half a minute, at the
lowest priority. One builder works at a time. What it writes appears by one rename, and what a killed builder left is
removed by the next one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path

import psutil

from answers.interrupts import interruptible
from answers.process_tree import kill_tree
from answers.stack.preflight import disk_available, memory_available
from answers.stack.settings import PROJECT
from include.files import exclusive_lock
from include.flights.days import midnight
from include.flights.spark import SMALL_JOB
from plugins import spark_start

DAY = date(2013, 6, 13)
NEEDED_BYTES = {"memory": 2 << 30, "disk": 1 << 30}  # bytes that have to be free for the making
TRAINING = ".training-"


class ArchiveImpossible(RuntimeError):
    """There is no archive, and the next attempt would end alike. The text says why."""


class AnotherBuilder(RuntimeError):
    """Another process makes the archive."""


@contextmanager
def only_builder(archives: Path) -> Iterator[int]:
    """Hold the right to write into the folder, as an open file.

    The job inherits the file: while the job of a killed builder still runs, nobody begins another one.

    :raises AnotherBuilder: another process has it
    """
    archives.mkdir(parents=True, exist_ok=True, mode=0o700)
    refused = AnotherBuilder("another process makes the class archive")
    with exclusive_lock(archives / "lock", lambda _: refused) as lock:
        yield lock.fileno()


def wait_until_idle(looks: int = 6, seconds: float = 5) -> None:
    """Wait until the machine has been less than half busy, with room in memory, for some looks in a row."""
    quiet = 0
    while quiet < looks:
        idle = psutil.cpu_percent(seconds) < 50 and memory_available() > NEEDED_BYTES["memory"]
        quiet = quiet + 1 if idle else 0


def make_archive(archives: Path, lock: int, gently: bool) -> Path:
    """Run a day's job, and put the archive of its classes into the folder.

    :param lock: what `only_builder` gave
    :param gently: at the lowest priority
    :raises ArchiveImpossible: the job runs, and this JVM makes no archive of it, or too large a one
    :raises OSError: there is no room, or it cannot be written
    :raises subprocess.CalledProcessError: the job failed
    """
    for left in archives.glob(f"{TRAINING}*"):
        shutil.rmtree(left, ignore_errors=True)
    if disk_available(archives) < NEEDED_BYTES["disk"]:
        raise OSError(f"less than {NEEDED_BYTES['disk'] >> 30} GB are free in {archives}")
    version = spark_start.java_version(spark_start.java_release())
    option = "-XX:AOTCacheOutput" if version >= spark_start.MIN_AOT else "-XX:ArchiveClassesAtExit"
    wanted = spark_start.archive_key(SMALL_JOB)
    with tempfile.TemporaryDirectory(dir=archives, prefix=TRAINING) as scratch:
        made = Path(scratch) / "archive"
        _run_job(
            _land_day(Path(scratch)),
            spark_start.start_variables(archives, f"{option}={made}", os.environ),
            lock,
            gently,
        )
        if not made.exists():
            raise ArchiveImpossible("this JVM wrote no archive")
        if made.stat().st_size > spark_start.LARGEST_TOTAL:
            size, most = (number >> 20 for number in (made.stat().st_size, spark_start.LARGEST_TOTAL))
            raise ArchiveImpossible(f"the archive has {size} MB, more than {most}")
        return publish_archive(made, archives, str(wanted))


def publish_archive(made: Path, archives: Path, key: str) -> Path:
    """Give a finished archive its name, and remove the longest unused ones that make it too many bytes."""
    made.chmod(0o644)
    with made.open("rb") as stream:
        os.fsync(stream.fileno())  # else a crash of the machine could leave the name without the bytes
    size = made.stat().st_size
    target = archives / spark_start.ARCHIVE_NAME.format(key=key, size=size, crc=spark_start.checksum(made))
    made.replace(target)
    others = sorted(archives.glob("*.archive"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in [file for file in others if file != target]:
        if file.name.startswith(f"{key}-") or size + file.stat().st_size > spark_start.LARGEST_TOTAL:
            file.unlink()
        else:
            size += file.stat().st_size
    return target


def _land_day(scratch: Path) -> str:
    """Land a day of the real feed for the job."""
    from include.flights import feed

    landed = feed.land_interval(
        feed.default_feed(), scratch, midnight(DAY), midnight(DAY + timedelta(days=1)), "training"
    )
    return str(landed["folder"])


def _run_job(landed: str, variables: dict[str, str], lock: int, gently: bool) -> None:
    """Run the job in a session of its own, and end it with this process."""
    conf = [word for name, value in SMALL_JOB.items() for word in ("--conf", f"{name}={value}")]
    command = ["spark-submit", "--master", "local[1]", *conf, str(PROJECT / "include/flights/transform.py"), landed]
    with subprocess.Popen(
        command,
        env=os.environ | variables,
        cwd=PROJECT,
        pass_fds=[lock],
        start_new_session=True,  # a group of its own for the kernel's scheduler, which shares by sessions
        stdin=subprocess.DEVNULL,
    ) as job:
        try:
            if gently:
                _lowest_priority(job.pid)
            if status := job.wait():
                raise subprocess.CalledProcessError(status, command[:1])
        finally:
            kill_tree(job.pid)


def _lowest_priority(pid: int) -> None:
    """Let a process, with all that it will start, take processor time that nobody else wants."""
    with suppress(OSError, AttributeError):  # the policy is Linux's
        os.setpriority(os.PRIO_PROCESS, pid, 19)
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError):  # not every kernel shares by sessions
        Path(f"/proc/{pid}/autogroup").write_text("19")


def reason_against(archives: Path) -> str | None:
    """Say why no archive is to be made: there is one, or there cannot be one."""
    wanted = spark_start.archive_key(SMALL_JOB)
    if wanted is None:
        return "no class archive: JAVA_HOME has no file `release` of Java 17 or later, or there is no Spark"
    if found := spark_start.find_archive(SMALL_JOB):
        return f"Spark starts from {found}"
    refused = archives / f"{wanted}.impossible"
    return f"no class archive: {refused.read_text()}. Remove {refused} to try again" if refused.exists() else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the archive if there is none yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--now", action="store_true", help="do not wait until the machine is idle")
    now = parser.parse_args(arguments).now
    archives = spark_start.archives_folder()
    if archives is None:
        return print("ANSWERS_SPARK_ARCHIVES=off: no class archive is made")
    try:
        with interruptible(), only_builder(archives) as lock:
            if reason := reason_against(archives):
                return print(reason)
            if not now:
                wait_until_idle()
            print(f"Spark starts from {make_archive(archives, lock, gently=not now)} from now on")
    except AnotherBuilder as error:
        print(error)
    except ArchiveImpossible as error:
        (archives / f"{spark_start.archive_key(SMALL_JOB)}.impossible").write_text(str(error))
        raise SystemExit(f"no class archive: {error}") from None
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"no class archive this time: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("interrupted: no class archive") from None


if __name__ == "__main__":
    main()
