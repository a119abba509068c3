"""A small line chart of a metric around the move of its alias, for an HTML page: inline SVG, no script."""

from __future__ import annotations

from msgspec import Struct

from reconciler.render.view import Chart

WIDTH, HEIGHT = 260.0, 56.0


class Drawing(Struct, frozen=True):
    """A chart with its lines as SVG has them; `move` is where the alias was moved, `limit` is empty for none."""

    chart: Chart
    line: str
    dots: tuple[tuple[float, float], ...]
    move: float
    limit: float | None
    width: float = WIDTH
    height: float = HEIGHT


def drawing(chart: Chart) -> Drawing:
    """Draw a chart. The time runs from the first value, or the move, to the last; the values start at 0."""
    times = [0.0, *(at for at, _ in chart.points)]
    limits = [chart.limit] if chart.limit is not None else []
    values = [0.0, *limits, *(value for _, value in chart.points)]
    start, span = min(times), (max(times) - min(times)) or 1.0
    low, height = min(values), (max(values) - min(values)) or 1.0

    def x(at: float) -> float:
        return round((at - start) / span * WIDTH, 1)

    def y(value: float) -> float:
        return round(HEIGHT - (value - low) / height * HEIGHT, 1)

    dots = tuple((x(at), y(value)) for at, value in chart.points)
    line = " ".join(f"{across},{down}" for across, down in dots)
    limit = y(chart.limit) if chart.limit is not None else None
    return Drawing(chart, line, dots, x(0.0), limit)
