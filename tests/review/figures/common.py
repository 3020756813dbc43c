"""What the tests of the figures share."""

from typing import Any

from mnist_sweep.review import figures
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import RunRecord
from tests.review import synthetic

INFO = synthetic.info()
RUNS = synthetic.sweep(80)
RANKING = rank(INFO, RUNS)
RANKED = RANKING.ranked


def drawn(figure: figures.Figure | None) -> figures.Figure:
    assert figure is not None
    return figure


def run_of(rows: list[dict[str, Any]], **about: Any) -> RunRecord:
    return RunRecord(id="r", history=rows, **about)
