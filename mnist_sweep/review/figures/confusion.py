"""What a run confuses with what."""

from __future__ import annotations

from mnist_sweep.review.figures.style import Figure, escape, layout
from mnist_sweep.review.media import Confusion
from mnist_sweep.review.palette import SCALE


def confusion_matrix(confusion: Confusion) -> Figure:
    """Counts by label and prediction; only mistakes are coloured, or the diagonal would drown them."""
    labels = [escape(label) for label in confusion.labels]
    mistakes = [
        [count if i != j and count else None for j, count in enumerate(row)] for i, row in enumerate(confusion.counts)
    ]
    heat = {
        "type": "heatmap",
        "x": labels,
        "y": labels,
        "z": mistakes,
        "xgap": 2,
        "ygap": 2,
        "coloraxis": "coloraxis",
        "texttemplate": "%{z}",
        "hovertemplate": "%{z} × %{y} read as %{x}<extra></extra>",
    }
    diagonal = {
        "type": "scatter",
        "mode": "text",
        "x": labels,
        "y": labels,
        "text": [str(row[i]) for i, row in enumerate(confusion.counts)],
        "textfont": {"size": 11},
        "hoverinfo": "skip",
    }
    category = {"type": "category", "showgrid": False, "zeroline": False, "categoryarray": labels}
    return {
        "data": [heat, diagonal],
        "layout": layout(
            xaxis=category | {"title": {"text": "prediction"}},
            yaxis=category | {"title": {"text": "label"}, "autorange": "reversed"},
            coloraxis={"colorscale": SCALE, "showscale": False, "cmin": 0},
            height=430,
        ),
    }
