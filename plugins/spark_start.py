"""Starts Spark's JVM from a class archive, where this machine has one for the same JVM, Spark and flags.

A third to a half of a day's job is the JVM loading and checking Spark's classes. A class archive (JDK 17 to 24: CDS; from JDK
25: an AOT cache) has them ready. answers/stack/spark_archive.py makes it; this module finds it, and never stands in the
way: without a whole and fitting archive the job runs as it would anyway.

The file's name says for what it is, and how many bytes with which CRC it has, so that one rename publishes all of it:
KEY-BYTES-CRC.archive.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from include.files import package_folder, user_cache

LARGEST_TOTAL = 300 << 20  # bytes of all archives together
FLAGS = "spark.driver.extraJavaOptions"
DEFAULTS = "spark-defaults.conf"
MIN_AOT = 25  # the first Java whose AOT cache is made in one step
ARCHIVE_NAME = "{key}-{size}-{crc:08x}.archive"
# The JVM that only prints the driver's command line ends before optimised code and parallel collection pay.
LAUNCHER = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


class Start(NamedTuple):
    """Says with what spark-submit starts from an archive."""

    variables: dict[str, str]  # for the environment
    properties_file: str | None  # Spark's defaults, which it does not find by itself then


def archives_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder of the archives, in the user's cache unless another is named. None: ANSWERS_SPARK_ARCHIVES is `off`."""
    given = environ.get("ANSWERS_SPARK_ARCHIVES")
    return None if given == "off" else Path(given or user_cache() / "spark")


def java_release(environ: Mapping[str, str] = os.environ) -> str:
    """Return what the JVM of JAVA_HOME says of itself in its file `release`; empty where it says nothing."""
    try:
        return (Path(environ["JAVA_HOME"]) / "release").read_text()
    except (KeyError, OSError, UnicodeDecodeError):
        return ""


def java_version(release: str) -> int:
    """Return the major version that a file `release` names, 0 if none."""
    found = re.search(r'^JAVA_VERSION="(\d+)', release, re.MULTILINE)
    return int(found[1]) if found else 0


def archive_key(conf: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> str | None:
    """Return what an archive for such jobs is named after: JVM, each of Spark's jars, flags. None: no archive is possible.

    The JVM refuses an archive that fits something else by itself. The key is there so that each finds its own.
    """
    said, home = java_release(environ), spark_home(environ)
    if java_version(said) < 17 or home is None:
        return None
    jars = sorted((home / "jars").iterdir())
    parts = [f"{jar} {jar.stat().st_size} {int(jar.stat().st_mtime)}" for jar in jars]
    given = [conf.get(FLAGS, ""), environ.get("SPARK_SUBMIT_OPTS", "")]
    return sha256("\n".join([said, *given, *parts]).encode()).hexdigest()[:16]


def spark_home(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder of the Spark that spark-submit runs."""
    given = environ.get("SPARK_HOME")
    return Path(given) if given else package_folder("pyspark")


def find_archive(conf: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the archive for such jobs, None where there is none that is whole and this user's or root's."""
    try:
        archives = archives_folder(environ)
        wanted = archive_key(conf, environ) if archives else None
        files = sorted(archives.glob(f"{wanted}-*.archive")) if archives and wanted else []
        return next((file for file in files if _is_trusted(file) and _is_whole(file)), None)
    except OSError:  # no folder that can be read, Spark's jars gone: the job says what there is to say
        return None


def _is_trusted(file: Path) -> bool:
    """Tell whether nobody else could have written it: what is in it is executed."""
    status = file.stat()
    return status.st_uid in (0, os.getuid()) and not status.st_mode & 0o022


def _is_whole(file: Path) -> bool:
    """Tell whether the file has the bytes that its name promises."""
    _, size, crc = file.stem.split("-")
    return file.stat().st_size == int(size) and checksum(file) == int(crc, 16)


def checksum(file: Path) -> int:
    """Return the CRC of a file: 0.05 s for 200 MB that are in the page cache, where a job takes ten."""
    found = 0
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            found = zlib.crc32(block, found)
    return found


def prepare_start(conf: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Start:
    """Return how spark-submit is to start a job.

    :param conf: Spark's properties of the job, of which FLAGS counts
    :param environ: the environment that spark-submit would have
    """
    launcher = {} if environ.get("SPARK_LAUNCHER_OPTS") else {"SPARK_LAUNCHER_OPTS": LAUNCHER}
    archive = find_archive(conf, environ)
    defaults = _defaults(environ) if archive else []
    if archive is None or defaults is None:
        return Start(launcher, None)
    option = "-XX:AOTCache" if java_version(java_release(environ)) >= MIN_AOT else "-XX:SharedArchiveFile"
    with suppress(OSError):  # the image is read-only; elsewhere the longest unused archive goes first
        os.utime(archive)
    started = launcher | start_variables(archive.parent, f"{option}={archive}", environ)
    return Start(started, str(defaults[0]) if defaults else None)


def start_variables(archives: Path, flag: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a job with one more flag for its JVM.

    Spark puts its folder of configuration first on the class path, and a JVM takes no archive with a folder that has
    files. So it is one that does not exist, the same one for the making and the use of an archive.
    """
    flags = " ".join(filter(None, [environ.get("SPARK_SUBMIT_OPTS"), flag]))
    return {"SPARK_SUBMIT_OPTS": flags, "SPARK_CONF_DIR": str(archives / "no-configuration")}


def _defaults(environ: Mapping[str, str]) -> list[Path] | None:
    """Return Spark's configuration that has to be named, None where there is more than a file can be named for."""
    configured = environ.get("SPARK_CONF_DIR") or f"{spark_home(environ)}/conf"
    try:
        files = list(Path(configured).iterdir())
    except FileNotFoundError:
        return []
    except OSError:
        return None
    return files if all(file.name == DEFAULTS for file in files) else None
