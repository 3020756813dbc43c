"""Plotly figures of a ranking; a function returns None if there is nothing to draw.

A figure is a dict in Plotly's JSON form, `{"data": [...], "layout": {...}}`. A page embeds it unchanged, and
`plotly.graph_objects.Figure(figure)` shows it in a notebook. Plain dicts take milliseconds for 1,000 runs. The tests
pass every figure through Plotly's own validation.
"""

from mnist_sweep.review.figures.confusion import confusion_matrix
from mnist_sweep.review.figures.custom import custom_chart
from mnist_sweep.review.figures.progress import all_points, best_so_far, curve_points, learning_curves
from mnist_sweep.review.figures.run import axes, logged_points, run_curves, system_curves
from mnist_sweep.review.figures.space import importance_bars, parallel_coordinates, slices
from mnist_sweep.review.figures.style import Figure
from mnist_sweep.review.figures.timeline import timeline
from mnist_sweep.review.figures.tradeoff import tradeoff

__all__ = [
    "Figure",
    "all_points",
    "axes",
    "best_so_far",
    "confusion_matrix",
    "curve_points",
    "custom_chart",
    "importance_bars",
    "learning_curves",
    "logged_points",
    "parallel_coordinates",
    "run_curves",
    "slices",
    "system_curves",
    "timeline",
    "tradeoff",
]
