"""Takes the numbers of the plots from what is recorded in bench/results. The page draws them, and shows them as a table."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

RESULTS = "bench/results"
HISTORY = "docs/images/sla.txt"
WEEK = re.compile(r"^(\S+): (\d+) of (\d+) on time", re.MULTILINE)
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)  # what a damaged record raises
Bars = list[tuple[str, float]]


def _alone(result: dict[str, Any], what: str) -> Bars:
    return [(f"alone, {stage.replace('_', ' ')}", each[what]) for stage, each in result["alone"].items()]


def _throughput(result: dict[str, Any]) -> Bars:
    return [(f"sustained, {path}", each["mb_s"]) for path, each in result["sustained"].items()] + _alone(result, "mb_s")


def _knobs(result: dict[str, Any]) -> Bars:
    return [(knob, each["sequential"]["hop_ms"]) for knob, each in result["knobs"].items()]


def _systems(result: dict[str, Any]) -> Bars:
    rates = ((name, each.get("sequential", {})) for name, each in result.items() if isinstance(each, dict))
    return [(name, each["tasks_s"]) for name, each in rates if isinstance(each, dict) and "tasks_s" in each]


def _kills(result: dict[str, Any]) -> Bars:
    return [(name.replace("_", " "), each["seconds"]) for name, each in result.items() if "seconds" in each]


def _waiting(result: dict[str, Any]) -> Bars:
    return list(result["slot_seconds_waiting"].items())


def _priorities(result: dict[str, Any]) -> Bars:
    return [
        ("headline, with priorities", result["headline_s_with_priorities"]),
        ("headline, without", result["headline_s_without"]),
    ]


def _latency(result: dict[str, Any]) -> Bars:
    return [(f"{way}, {share}", each[share]) for way, each in result["latency_s"].items() for share in ("p50", "p95")]


def _pauses(result: dict[str, Any]) -> Bars:
    return list(result["longest_pause_s"].items())


# By name: the question, the title, the unit, the numbers, and the number that they are held against.
PLOTS: dict[str, tuple[str, str, str, Callable[[dict[str, Any]], Bars], str | None]] = {
    "fleet": ("q04", "Until the critical path is published", "s", _priorities, None),
    "waiting": ("q04", "Seconds of a slot, taken by waiting", "s", _waiting, None),
    "kafka": ("q05", "From a message to its effect", "s", _latency, None),
    "throughput": ("q07", "Raw CSV to queryable rows", "MB/s", _throughput, "goal_mb_s"),
    "stages": ("q07", "CPU time of each stage alone", "s/GB", lambda result: _alone(result, "cpu_s_a_gb"), None),
    "knobs": ("q07", "From one task to the next", "ms", _knobs, None),
    "scheduling": ("q07", "Tasks of one DAG, one after the other", "tasks/s", _systems, None),
    "celery": ("q07", "The same by way of Celery", "tasks/s", _systems, None),
    "q07_kills": ("q07", "Until the day is whole after a kill; no row lost or doubled", "s", _kills, None),
    "deploys": ("q10", "Between the starts of two tasks under load, at most", "s", _pauses, None),
}


def plots(root: Path) -> dict[str, dict[str, Any]]:
    """Return every plot whose numbers are here, by name.

    A record that is missing, cut off or of another form gives none: a plot shows what was measured or is not there.
    """
    return dict(_recorded(root)) | _compliance(root)


def of_question(question_id: str, root: Path) -> list[str]:
    """List the names of a question's plots."""
    return [name for name, plot in plots(root).items() if plot["question"] == question_id]


def record(root: Path, name: str) -> tuple[dict[str, Any], str]:
    """Return what a benchmark recorded, and by which command, where and when.

    :raises OSError, ValueError, KeyError, TypeError, AttributeError: it is missing, cut off, or of another form (UNREADABLE)
    """
    document = json.loads((root / RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    machine = document["machine"]
    return document["result"], f"{machine['command']}, {machine['cpus']} CPUs, {machine['at'][:10]}"


def _recorded(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, (question, title, unit, bars, goal) in PLOTS.items():
        try:
            result, made = record(root, name)
            yield (
                name,
                {
                    "name": name,
                    "question": question,
                    "title": title,
                    "unit": unit,
                    "bars": [{"label": label, "value": float(value)} for label, value in bars(result)],
                    "goal": {"label": "the goal", "value": float(result[goal])} if goal else None,
                    "source": f"{RESULTS}/{name}.json",
                    "made": made,
                },
            )
        except UNREADABLE:
            continue


def _compliance(root: Path) -> dict[str, dict[str, Any]]:
    """Return the plot of question 2: the share of runs on time by week, of the history that `make pictures` makes up."""
    try:
        weeks = WEEK.findall((root / HISTORY).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return {}
    bars = [{"label": week, "value": round(100 * int(good) / int(all_), 1)} for week, good, all_ in weeks if int(all_)]
    plot = {
        "name": "compliance",
        "question": "q02",
        "title": "Runs on time, by week, of a made-up history",
        "unit": "%",
        "bars": bars,
        "goal": {"label": "the promise", "value": 95.0},
        "source": HISTORY,
        "made": "make pictures ARGS=sla; `answers sla --plot` draws yours",
    }
    return {"compliance": plot} if bars else {}
