"""Decides from evidence alone, in a process that never imports the candidate's code.

A ticket's judge.py has one function a check:

    @check("june")
    def june(seen: Evidence, v: Variant) -> None:
        same(seen.value("june"), wanted, "the late flights of June", because="the rule changes in July, not before")

`wrong(seen=..., because=...)` convicts. Its texts say what was seen, and never what was expected; `expected=` is for the
interviewer. `expected()` is tests/support/expected.py: pandas on the raw files.

Run as `python -P -m answers.exercise.judge REQUEST` by probing.py.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from answers.exercise.driver import load_module

LONGEST = 300  # characters of what the candidate's code says in a message
KIT = Path(__file__).resolve().parents[2]
_checks: dict[str, Callable[[Evidence, Variant], None]] = {}


class Wrong(Exception):
    """Convicts: the change does not do what a check asks for."""

    def __init__(self, seen: str, because: str, expected: Any = None) -> None:
        self.seen, self.because, self.expected = seen, because, expected
        super().__init__(seen)


class NoEvidence(Exception):
    """Reports that a probe has not come as far as this check needs."""


@dataclass(frozen=True)
class Variant:
    """Gives the values of the ticket's variant: `v.told["day"]`, `v.hidden["carrier"]`."""

    told: dict[str, Any]
    hidden: dict[str, Any]


class Evidence:
    """Reads what a probe has recorded. It is data: JSON and Parquet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _recorded(self, name: str) -> dict[str, Any]:
        try:
            recorded: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise NoEvidence(f"the probe did not come as far as {name}") from None
        return recorded

    def value(self, name: str, because: str = "the code that the check calls ends with an error") -> Any:
        """Return what a step returned.

        :raises Wrong: the step ended with an error.
        :raises NoEvidence: the probe has not come so far.
        """
        recorded = self._recorded(name)
        if error := recorded.get("error"):
            wrong(seen=f"{name}: {said(error)}", because=because)
        return recorded["value"]

    def error(self, name: str) -> dict[str, str] | None:
        """Return the error that a step ended with: type, message, trace. None where it ended well."""
        return None if (self.folder / f"{name}.parquet").exists() else self._recorded(name).get("error")

    def table(self, name: str, because: str = "the code that the check calls ends with an error") -> Any:
        """Return the table that a step returned, as a data frame. Raises as `value` does."""
        file = self.folder / f"{name}.parquet"
        if not file.exists():
            self.value(name, because)
            wrong(seen=f"{name} is no table", because=because)
        from pyarrow import parquet

        return parquet.read_table(file).to_pandas()


def check(id_: str) -> Callable[[Callable[[Evidence, Variant], None]], Callable[[Evidence, Variant], None]]:
    """Mark the function that decides a check of exercise.yaml."""

    def mark(function: Callable[[Evidence, Variant], None]) -> Callable[[Evidence, Variant], None]:
        if id_ in _checks:
            raise ValueError(f"two functions for the check {id_}")
        _checks[id_] = function
        return function

    return mark


def wrong(seen: str, because: str, expected: Any = None) -> NoReturn:
    """Convict.

    :param seen: what was seen; no value that was expected of hidden data.
    :param because: why that is not what the ticket asks for.
    :param expected: for the interviewer only.
    """
    raise Wrong(seen, because, expected)


def same(found: Any, wanted: Any, what: str, because: str) -> None:
    """Convict unless two values are equal. Nothing is never equal to nothing.

    :raises ValueError: `wanted` is empty: the check would hold for a change that does nothing.
    """
    if wanted is None or wanted in ([], {}, "", ()):
        raise ValueError(f"{what}: nothing is wanted, so nothing can be shown")
    if found != wanted:
        wrong(seen=f"{what}: {shown(found)}", because=because, expected=wanted)


def shown(value: Any) -> str:
    """Write a value for a message: short, on one line, without control characters."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def said(error: dict[str, str]) -> str:
    """Write the error of a step for a message."""
    return shown(f"{error['type']}: {error['message']}" if error["message"] else error["type"])


@cache
def expected() -> ModuleType:
    """Return the project's independent computation of what the warehouse must hold, from the kit's own checkout."""
    return load_module("expected", KIT / "tests/support/expected.py")


def decide(ids: list[str], after: dict[str, list[str]], seen: Evidence, v: Variant) -> list[dict[str, Any]]:
    """Look at the checks in their order: {"check", "verdict", "seen", "because", "expected", "detail"} of each.

    `verdict` is holds, wrong, cannot tell, or not looked at where one that it comes after does not hold.
    """
    verdicts: dict[str, dict[str, Any]] = {}
    for id_ in ids:
        empty = {"check": id_, "seen": "", "because": "", "expected": None, "detail": ""}
        if broken := [other for other in after[id_] if verdicts[other]["verdict"] != "holds"]:
            verdicts[id_] = empty | {"verdict": "not looked at", "because": f"{broken[0]} does not hold"}
            continue
        try:
            _checks[id_](seen, v)
            verdicts[id_] = empty | {"verdict": "holds"}
        except Wrong as error:
            about = {"seen": shown(error.seen), "because": error.because, "expected": error.expected}
            verdicts[id_] = empty | {"verdict": "wrong", **about, "detail": traceback.format_exc()}
        except NoEvidence as error:
            verdicts[id_] = empty | {"verdict": "cannot tell", "because": str(error)}
        except Exception as error:  # a mistake of the judge is not the candidate's
            because = f"the judge of this ticket is broken: {type(error).__name__}"
            verdicts[id_] = empty | {"verdict": "cannot tell", "because": because, "detail": traceback.format_exc()}
    return list(verdicts.values())


def prepare(request: dict[str, Any]) -> None:
    """Compute what every judge of a ticket computes: the raw flights, if it asks for them."""
    if "expected()" in (Path(request["ticket"]) / "judge.py").read_text(encoding="utf-8"):
        expected()._year()


def main() -> None:
    """Print the verdicts of a ticket's checks as one line of JSON."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    load_module("judge", Path(request["ticket"]) / "judge.py")
    if missing := [id_ for id_ in request["checks"] if id_ not in _checks]:
        raise SystemExit(f"judge.py has no function for the check {missing[0]}")
    v = Variant(request["variant"]["told"], request["variant"]["hidden"])
    verdicts = decide(request["checks"], request["after"], Evidence(Path(request["evidence"])), v)
    print(json.dumps(verdicts, default=str))


if __name__ == "__main__":
    # A ticket's judge.py imports this module by its name, and fills the register of that one.
    from answers.exercise.judge import main as named_main

    named_main()
