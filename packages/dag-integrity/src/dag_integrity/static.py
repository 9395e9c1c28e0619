"""Tells what is found in the text of the files: by ruff's Airflow rules and by detect-secrets, each in a process of its own."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from dag_integrity.airflow2 import Remark, judge
from dag_integrity.findings import Finding
from dag_integrity.sources import archive_of, as_utf8, is_utf8, read

# AIR001 (name of the variable) is a matter of style. AIR003 and AIR201 are seen while parsing, or are style as well.
RUFF_RULES = {
    "AIR002": "AA504", "AIR301": "AA601", "AIR302": "AA603", "AIR303": "AA601", "AIR304": "AA408", "AIR311": "AA604",
    "AIR312": "AA604", "AIR321": "AA604",
}  # fmt: skip
IGNORED = re.compile(r"`(sla|sla_miss_callback)` is")
STILL_WORKS = re.compile(
    r"(?: is removed in Airflow 3\.0)?; It still works in Airflow 3\.0 but is expected to be removed in a future version\."
)
# Only files that one of these occurs in are given to detect-secrets, which reads 1 MB in about ten seconds. In lower case;
# words and single patterns, since one pattern of alternatives would be tried at each byte.
WORDS = (
    b"pass", b"pwd", b"secret", b"token", b"key", b"auth", b"cred", b"contrasena", b"begin ", b"a3t", b"akia", b"asia", b"abia",
    b"acca", b"eyj", b"gr1348941", b"pypi-", b"sg.", b"xox", b"hooks.slack", b"sq0", b"db2", b"hmac", b"softlayer", b"sl_",
    b"cloudant",
)  # fmt: skip
PATTERNS = [re.compile(each) for each in (
    rb"://[^/\s:@]*:[^/\s@]+@", rb"akc[a-z0-9]", rb"ap[\dabcdef][a-z0-9]{8}", rb"gh[pousr]_", rb"gl[a-z]{1,6}-", rb"-us\d",
    rb"sk-[a-z]", rb"[rs]k_live", rb"\d{8,10}:[0-9a-z_-]{30}", rb"ac[0-9a-f]{32}", rb"sk[0-9a-f]{32}",
    rb"[mno][a-z\d_-]{23,25}\.",
)]  # fmt: skip


class Unavailable(Exception):
    """A tool that the check needs does not run; the message says which and why."""


class Static:
    """Both tools at work on some files, beside the parsing."""

    def __init__(self, files: list[str], high_entropy: bool, home: Path, secrets: bool = True) -> None:
        """Start both.

        :param home: an empty folder, for copies of what the tools cannot read
        """
        self._home = home
        contents = {file: _content(file) for file in files}
        self._copies = {file: _readable(file, content, home) for file, content in contents.items()}
        self._files = {copy: file for file, copy in self._copies.items()}
        texts = list(self._files)
        self._ruff = self._start([_ruff(), "check", "--isolated", "--no-cache", "--preview", "--exit-zero", "--quiet",
                                  "--ignore-noqa", "--target-version", "py311", "--no-force-exclude", "--output-format", "json",
                                  "--select", ",".join(RUFF_RULES), "--", *texts]) if files else None  # fmt: skip
        suspects = [self._copies[file] for file in files if high_entropy or _suspect(contents[file])] if secrets else []
        code = [sys.executable, "-m", "dag_integrity.secrets", "1" if high_entropy else "0"]
        self._secrets = self._start(code, "\n".join(suspects)) if suspects else None

    @staticmethod
    def _start(command: list[str], text: str | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
            start_new_session=True, env=None if text is None else _with_path(),
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(text or "")
        process.stdin.close()
        process.stdin = None
        return process

    def findings(self) -> Iterator[Finding]:
        """Wait for both and give their findings.

        :raises Unavailable: one of them failed
        """
        for name, process in (("ruff", self._ruff), ("detect-secrets", self._secrets)):
            if process is None:
                continue
            output, errors = process.communicate()
            if process.returncode:
                last = (errors.strip().splitlines() or ["no message"])[-1]
                raise Unavailable(f"{name} ended with {process.returncode}: {last}")
            entries = json.loads(output or "[]")
            if name == "ruff":
                remarks = (replace(each, file=self._files[each.file]) for each in _from_ruff(entries))
                sources = {file: Path(copy) for file, copy in self._copies.items()}
                for each in judge(remarks, sources, self._home):
                    yield Finding(each.file, each.line, each.rule, f"{each.message} ({each.code})")
            else:
                yield from (Finding(self._files[file], *entry) for file, *entry in entries)

    def close(self) -> None:
        """End what still runs."""
        for process in (self._ruff, self._secrets):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()


def _with_path() -> dict[str, str]:
    import os

    own = str(Path(__file__).resolve().parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [own, os.environ.get("PYTHONPATH")]))}


def _content(file: str) -> bytes:
    try:
        return read(file)
    except OSError:
        return b""  # the parser reports it


def _readable(file: str, content: bytes, home: Path) -> str:
    """Return where the tools can read the file: a copy of what lies in a zip file or is no UTF-8."""
    if archive_of(file) is None and is_utf8(content):
        return file
    copy = home / f"{hashlib.sha1(file.encode(), usedforsecurity=False).hexdigest()}.py"
    copy.write_bytes(as_utf8(content))
    return str(copy)


def _suspect(content: bytes) -> bool:
    text = content.lower()
    return any(word in text for word in WORDS) or any(pattern.search(text) for pattern in PATTERNS)


def _ruff() -> str:
    beside = Path(sys.executable).parent / "ruff"
    return str(beside) if beside.exists() else "ruff"


def _from_ruff(entries: list[dict[str, Any]]) -> Iterator[Remark]:
    for entry in entries:
        if (code := str(entry["code"])) not in RUFF_RULES:
            continue  # a syntax error, which the parser reports
        message, place = str(entry["message"]), (str(entry["filename"]), int(entry["location"]["row"]), code)
        advice = str((entry.get("fix") or {}).get("message") or "")
        if ignored := IGNORED.match(message):
            yield Remark(*place, "AA602", f"{ignored.group(1)} has no effect since Airflow 3.0")
            continue
        message = STILL_WORKS.sub(", still works, and will be removed", message).replace("; ", ": ").rstrip(":; ")
        yield Remark(*place, RUFF_RULES[code], f"{message}{': ' + advice[0].lower() + advice[1:] if advice else ''}")
