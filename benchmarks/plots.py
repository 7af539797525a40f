"""Figures as SVG, each the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks.report import PLOTS
from flows.progress import say

_STYLE = {"svg.hashsalt": "paperfeed", "svg.fonttype": "none", "font.size": 9}
_OURS, _OTHERS = "#1b6ca8", "#b8b8b8"


def bars(name: str, title: str, values: Mapping[str, float]) -> None:
    """One horizontal bar a value, ours in colour, the first one on top."""
    axes = _axes(title)
    if axes is None:
        return
    colours = [_OURS if label.startswith("paperfeed") else _OTHERS for label in values]
    drawn = axes.barh(list(values), list(values.values()), color=colours)
    axes.bar_label(drawn, fmt="%.3g", padding=3)
    axes.invert_yaxis()
    _save(axes, name)


def lines(name: str, title: str, at: Sequence[int], values: Mapping[str, Sequence[float]]) -> None:
    """One line a series over numbers of papers, which stand apart by their logarithm."""
    axes = _axes(title)
    if axes is None:
        return
    for label, series in values.items():
        axes.plot(at, series, marker="o", label=label)
    axes.set_xscale("log")
    axes.set_xticks(list(at), [f"{count:,}" for count in at], minor=False)
    axes.set_xlabel("papers")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    _save(axes, name)


def _axes(title: str) -> Any:  # noqa: ANN401 -- matplotlib is loaded only where it is installed
    """Empty axes, None without matplotlib."""
    if not find_spec("matplotlib"):
        say("no plot: matplotlib is not installed  (make bench)")
        return None
    import_module("matplotlib").use("svg")
    plot = import_module("matplotlib.pyplot")
    plot.rcParams.update(_STYLE)
    axes = plot.subplots(figsize=(6.4, 2.8), layout="constrained")[1]
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left")
    return axes


def _save(axes: Any, name: str) -> None:  # noqa: ANN401 -- as above
    PLOTS.mkdir(exist_ok=True)
    axes.figure.savefig(PLOTS / f"{name}.svg", metadata={"Date": None, "Creator": None})
    import_module("matplotlib.pyplot").close(axes.figure)
