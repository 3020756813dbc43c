"""Which classes a run confuses."""

from mnist_sweep.review.figures.style import Figure, escape, layout
from mnist_sweep.review.mistakes import Confusion

MISTAKE, FAINT_MISTAKE = "rgba(224,101,58,0.6)", "rgba(224,101,58,0.08)"


def confusion_matrix(confusion: Confusion) -> Figure:
    """Return the counts by label and prediction. Only mistakes are coloured, or the diagonal would hide them.

    The colour is translucent, so the counts can be read in the light and the dark theme.
    """
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
        "colorscale": [[0, FAINT_MISTAKE], [1, MISTAKE]],
        "zmin": 0,
        "showscale": False,
        "hovertemplate": "%{y} predicted as %{x}: %{z} times<extra></extra>",
    }
    cells = [(i, j, str(n)) for i, row in enumerate(confusion.counts) for j, n in enumerate(row) if n or i == j]
    counts = {
        "type": "scatter",
        "mode": "text",
        "x": [labels[j] for _, j, _ in cells],
        "y": [labels[i] for i, _, _ in cells],
        "text": [text for _, _, text in cells],
        "textfont": {"size": 11},
        "hoverinfo": "skip",
    }
    category = {"type": "category", "showgrid": False, "zeroline": False, "categoryarray": labels}
    return {
        "data": [heat, counts],
        "layout": layout(
            xaxis=category | {"title": {"text": "prediction"}},
            yaxis=category | {"title": {"text": "label"}, "autorange": "reversed"},
            height=430,
        ),
    }
