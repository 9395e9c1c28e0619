"""Draws question 7's results, each beside its JSON in bench/results, from what is recorded there: `python -m bench plots`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
DARK, LIGHT, RED = "#1f2a44", "#7aa6c2", "#c0392b"


def plots() -> list[str]:
    """Draw what there is; returns the files' names."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = []
    for name, (draw, columns, width) in PLOTS.items():
        recorded = RESULTS / f"{name}.json"
        if not recorded.exists():
            continue
        document = json.loads(recorded.read_text())
        figure = Figure(figsize=(width, 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.subplots(1, columns, squeeze=False)[0], document["result"])
        for axes in figure.axes:
            axes.spines[["top", "right"]].set_visible(False)
            axes.title.set(fontsize=10, fontweight="bold", ha="left", x=0)
        machine = document["machine"]
        note = f"{machine['command']}, {machine['cpus']} CPUs, {machine['at'][:10]}"
        figure.supxlabel(note, fontsize=7, color="#666666", x=0.99, ha="right")
        figure.savefig(RESULTS / f"{name}.png", dpi=min(130, int(1440 / width)))  # 1,440 pixels wide at most
        drawn.append(f"{name}.png")
    return drawn


def _bars(axes, title: str, values: dict[str, float], colour: str = DARK) -> None:
    """Draw horizontal bars, the first on top, each with its value."""
    places = range(len(values), 0, -1)
    axes.set_title(title)
    axes.set_yticks(list(places), list(values), fontsize=8)
    bars = axes.barh(places, list(values.values()), color=colour)
    axes.bar_label(bars, fmt=lambda value: f"{value:.0f}" if value >= 100 else f"{value:.3g}", padding=3, fontsize=8)
    axes.margins(x=0.14)


def _throughput(subplots, result: dict[str, Any]) -> None:
    sustained = {f"sustained, {path}": each["mb_s"] for path, each in result["sustained"].items()}
    _bars(subplots[0], "Raw CSV to queryable rows, MB/s", sustained | _alone(result, "mb_s"))
    subplots[0].axvline(result["goal_mb_s"], color=RED, ls=":", label="2 TB a day")
    subplots[0].legend(frameon=False, fontsize=8, loc="lower right")
    _bars(subplots[1], "CPU seconds a GB, each stage alone", _alone(result, "cpu_s_a_gb"), LIGHT)


def _alone(result: dict[str, Any], what: str) -> dict[str, float]:
    return {f"alone, {stage.replace('_', ' ')}": each[what] for stage, each in result["alone"].items()}


def _stages(subplots, result: dict[str, Any]) -> None:
    _bars(subplots[0], "Raw CSV, MB/s", _alone(result, "mb_s"))
    _bars(subplots[1], "CPU seconds a GB", _alone(result, "cpu_s_a_gb"), LIGHT)


def _scheduling(subplots, result: dict[str, Any]) -> None:
    others = ("tasks", "embedded_to_standalone", "load_after")
    systems = {name: each for name, each in result.items() if name not in others}
    for axes, shape in zip(subplots, result["tasks"], strict=True):
        rates = {name: each[shape]["tasks_s"] for name, each in systems.items() if "tasks_s" in each.get(shape, {})}
        _bars(axes, f"{shape}: tasks a second, of {result['tasks'][shape]}", rates)
        if max(rates.values()) > 10 * min(rates.values()):
            axes.set_xscale("log")


def _knobs(subplots, result: dict[str, Any]) -> None:
    knobs = result["knobs"]
    _bars(subplots[0], "From one task to the next, ms", {k: each["sequential"]["hop_ms"] for k, each in knobs.items()})
    _bars(subplots[1], "At once, tasks a second", {k: each["parallel"]["tasks_s"] for k, each in knobs.items()})


def _kills(subplots, result: dict[str, Any]) -> None:
    killed = {name.replace("_", " "): each for name, each in result.items() if "seconds" in each}
    _bars(subplots[0], "Seconds until the day is whole", {name: each["seconds"] for name, each in killed.items()})
    again = {name: each["retried"] + each["requeued"] for name, each in killed.items()}
    _bars(subplots[1], "Tasks tried or queued again (rows lost or doubled: 0)", again, LIGHT)
    assert not any(each["missing"] or each["doubled"] for each in killed.values())


PLOTS: dict[str, tuple[Callable[[Any, dict[str, Any]], None], int, float]] = {
    "throughput": (_throughput, 2, 11),
    "stages": (_stages, 2, 11),
    "scheduling": (_scheduling, 3, 13),
    "celery": (_scheduling, 3, 13),
    "knobs": (_knobs, 2, 13),
    "q07_kills": (_kills, 2, 11),
}
