"""Brings the jars of a lock file from the Maven repository into the user's cache, in parallel, each verified.

A line of the lock is `group:artifact:version SHA-256`. The repository's address: the environment's MAVEN_REPOSITORY, else
the mirror of `central` in ~/.m2/settings.xml, else what Ivy, the client among pyspark's jars, takes for Maven Central.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import urllib.error
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from include.files import atomic_replacement, package_folder, user_cache

IVY_CLASS = "org/apache/ivy/plugins/resolver/IBiblioResolver.class"
AT_A_TIME = 8
TIMEOUT = 60  # seconds without an answer


class JarsMissing(RuntimeError):
    """The jars could not be brought here. The text says which, from where, and what to do."""


@dataclass(frozen=True)
class Jar:
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    digest: str

    @property
    def file(self) -> str:
        """Return its name in a flat folder."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Return its path in a Maven repository."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file}"


def locked(lock: Path) -> list[Jar]:
    """Return the jars of a lock file."""
    lines = (line.split() for line in lock.read_text().splitlines() if line and not line.startswith("#"))
    parts = ((*coordinates.split(":"), digest) for coordinates, digest in lines)
    return [Jar(group, artifact, version, digest) for group, artifact, version, digest in parts]


def repository() -> str:
    """Return the base address of the Maven repository, without a slash at its end.

    :raises JarsMissing: none is known
    """
    if given := os.environ.get("MAVEN_REPOSITORY"):
        return given.rstrip("/")
    return (_mirror() or _maven_central()).rstrip("/")


def _mirror() -> str | None:
    """Return the mirror of central in Maven's own settings."""
    try:
        root = ElementTree.parse(Path.home() / ".m2" / "settings.xml").getroot()  # noqa: S314 (the user's own file)
    except (OSError, ElementTree.ParseError):
        return None
    for mirror in root.iter():
        if mirror.tag.rpartition("}")[2] == "mirror":
            fields = {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in mirror}
            named = fields.get("mirrorOf", "").split(",")
            if {"central", "*", "external:*"} & set(named) and "!central" not in named:
                return fields.get("url")
    return None


def _maven_central() -> str:
    """Read Maven Central's address out of Ivy's class file: the text constants of a class lie in its bytes as they are."""
    spark = package_folder("pyspark") or Path()
    for jar in (spark / "jars").glob("ivy-*.jar"):
        with zipfile.ZipFile(jar) as archive:
            if found := re.search(rb"https://[\w./-]+/maven2/", archive.read(IVY_CLASS)):
                return found.group().decode()
    raise JarsMissing("no Maven repository is known: set MAVEN_REPOSITORY to the base address of one")


def cache() -> Path:
    """Return the folder of the jars, outside of the project."""
    return user_cache() / "jars"


def fetch(lock: Path, folder: Path | None = None) -> list[Path]:
    """Return the jars of a lock in the cache, once those that are missing or damaged are downloaded.

    :raises JarsMissing: naming the jar and why
    """
    folder = folder or cache()
    folder.mkdir(parents=True, exist_ok=True)
    jars = locked(lock)
    missing = [jar for jar in jars if not _intact(folder / jar.file, jar.digest)]
    if missing:
        _download(missing, folder, repository())
    return [folder / jar.file for jar in jars]


def _intact(file: Path, digest: str) -> bool:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == digest
    except FileNotFoundError:
        return False


def _download(jars: list[Jar], folder: Path, base: str) -> None:
    from rich.console import Console
    from rich.progress import Progress

    context = ssl.create_default_context()  # the system's certificates, or those of SSL_CERT_FILE

    def bring(jar: Jar) -> None:
        digest = hashlib.sha256()
        try:
            request = f"{base}/{jar.path}"
            with atomic_replacement(folder / jar.file) as part:
                answer = urllib.request.urlopen(request, timeout=TIMEOUT, context=context)  # noqa: S310
                with answer, part.open("wb") as file:
                    while block := answer.read(1 << 16):
                        digest.update(block)
                        file.write(block)
                if digest.hexdigest() != jar.digest:
                    raise JarsMissing(
                        f"{request} is not what the lock names (SHA-256 {digest.hexdigest()}, wanted {jar.digest}): is the "
                        "repository a faithful mirror? Set MAVEN_REPOSITORY to another one"
                    )
        except (OSError, urllib.error.URLError) as error:
            raise JarsMissing(
                f"{jar.path} could not be brought from {base} ({error}): is the repository reachable? "
                "MAVEN_REPOSITORY names another one"
            ) from error

    pool = ThreadPoolExecutor(AT_A_TIME)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"{len(jars)} jars into {folder}", total=len(jars))
        try:
            for done in as_completed([pool.submit(bring, jar) for jar in jars]):
                done.result()
                progress.advance(bar)
        finally:
            pool.shutdown(cancel_futures=True)
