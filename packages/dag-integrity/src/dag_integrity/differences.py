"""Compares what two parses of a file gave."""

from __future__ import annotations

from typing import Any

from dag_integrity.protocol import Result


def failed(result: Result) -> bool:
    """Tell whether the parse gave no DAGs because it went wrong."""
    return bool(result.died or any(rule == "AA101" for rule, *_ in result.findings))


def differences(first: Result, second: Result) -> list[tuple[str | None, str]]:
    """Return what two parses made different: (DAG, explanation)."""
    ours, theirs = first.documents or {}, second.documents or {}
    found: list[tuple[str | None, str]] = []
    if failed(second):
        return [(None, "a second parse in a fresh process fails")]
    for dag_id in sorted({*ours, *theirs}):
        if dag_id not in ours or dag_id not in theirs:
            found.append((dag_id if dag_id in ours else None, f"the DAG {dag_id!r} exists in one of two parses only"))
        elif (path := _differing(ours[dag_id], theirs[dag_id])) is not None:
            found.append((dag_id, f"{path or 'the document'} differs between two parses"))
    return found


def _differing(one: Any, other: Any, path: str = "") -> str | None:
    """Return the path of the first part that differs; None when all is the same. The values may be secret: they are not shown."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            part = path if key in ("__var", "__type") else f"{path}.{key}".lstrip(".")
            if (found := _differing(one.get(key), other.get(key), part)) is not None:
                return found
        return None
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            name = (
                (a.get("__var") or {}).get("task_id")
                if isinstance(a, dict) and isinstance(a.get("__var"), dict)
                else None
            )
            if (found := _differing(a, b, f"{path}[{name or number}]")) is not None:
                return found
        return None
    return None if one == other else path
