"""Draws SLA compliance: a panel per DAG, a bar per week, with the share on time and the target."""

from __future__ import annotations

from pathlib import Path

from answers.operate.sla_judge import Row

COLOURS = {"on_time": "#3b8f5a", "late": "#e5a33d", "failed": "#c8473f", "missing": "#8d8f98"}
TARGET = 0.95


def draw_compliance(rows: list[Row], file: Path) -> None:
    """Draw compliance to FILE; its ending says whether PNG, SVG or PDF.

    :raises ValueError: nothing to draw, or an ending that matplotlib does not know
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    weekly = [row for row in rows if row.week]
    dags = list(dict.fromkeys(row.dag_id for row in weekly))
    if not dags:
        raise ValueError("nothing was scheduled in these days: there is nothing to draw")
    overall = {row.dag_id: row for row in rows if row.week is None}
    figure = Figure(figsize=(9.5, 0.6 + 3.1 * len(dags)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, dag_id in zip(figure.subplots(len(dags), squeeze=False)[:, 0], dags, strict=True):
        weeks = [row for row in weekly if row.dag_id == dag_id]
        places = range(len(weeks))
        below = [0] * len(weeks)
        for name, colour in COLOURS.items():
            counts = [getattr(row, name) for row in weeks]
            label = f"{name.replace('_', ' ')} ({sum(counts)})"
            axes.bar(places, counts, bottom=below, color=colour, width=0.8, label=label)
            below = [before + count for before, count in zip(below, counts, strict=True)]
        axes.set_ylabel("scheduled runs")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(0, max(below) * 1.12)
        every = max(1, -(-len(weeks) // 14))
        labels = [f"{row.week:%G-W%V}" for row in weeks if row.week]
        axes.set_xticks(list(places)[::every], labels[::every], rotation=30, ha="right", fontsize=8)
        share = axes.twinx()
        share.plot(places, [row.compliance for row in weeks], color="#1f2a44", marker="o", ms=3.5, lw=1.4)
        share.axhline(TARGET, color="#1f2a44", ls=":", lw=1)
        share.set_ylim(0, 1.12)
        share.set_yticks([0, 0.25, 0.5, 0.75, TARGET])
        share.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        share.set_ylabel("on time (line)")
        for side in (axes, share):
            side.spines["top"].set_visible(False)
        row = overall[dag_id]
        title = f"{dag_id}: {row.compliance:.1%} on time, {row.on_time} of {row.scheduled}"
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axes.legend(ncols=4, fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.26))
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)
