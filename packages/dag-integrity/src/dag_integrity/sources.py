"""Reads DAG files: those on disk, and those inside of zip files, which Airflow names `folder/archive.zip/member.py`."""

from __future__ import annotations

import io
import os
import tokenize
import zipfile


def archive_of(path: str) -> tuple[str, str] | None:
    """Return the zip file and the member that a path names; None for a file on disk."""
    folder, member = os.path.split(path)
    return (folder, member) if folder.endswith(".zip") and os.path.isfile(folder) else None


def read(path: str) -> bytes:
    """Return the bytes of a DAG file.

    :raises OSError: it cannot be read
    """
    if (parts := archive_of(path)) is None:
        with open(path, "rb") as file:
            return file.read()
    try:
        with zipfile.ZipFile(parts[0]) as archive:
            return archive.read(parts[1])
    except (KeyError, zipfile.BadZipFile) as error:
        raise OSError(f"{path}: {error}") from error


def is_utf8(content: bytes) -> bool:
    """Tell whether Airflow can store the source, which it reads as UTF-8 whatever the file says."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def as_utf8(content: bytes) -> bytes:
    """Return the source in UTF-8 with the same lines, for tools that read nothing else.

    A declared encoding (`# -*- coding: latin-1 -*-`) and a byte order mark count; what neither explains is read as Latin-1,
    in which every byte means something.
    """
    for mark, name in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return content.decode(name, "replace").encode()
    try:
        name, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = content.decode(name)
    except (SyntaxError, LookupError, UnicodeDecodeError):
        text = content.decode("latin-1")
    return text.encode()
