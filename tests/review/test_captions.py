from __future__ import annotations

from mnist_sweep.review.captions import lede, notes, tiles
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import RunRecord, SweepInfo
from tests.review import synthetic


def test_tiles_of_a_sweep() -> None:
    ranking = synthetic.ranking(40)
    shown = {tile["label"]: tile for tile in tiles(ranking)}
    best = ranking.ranked[0]
    assert shown["best val/accuracy"]["value"] == ranking.presentation.show(best.value)
    assert shown["its parameters"] == {
        "label": "its parameters",
        "value": f"{best.size:,.0f}",
        "hint": f"{(best.size or 0) / 9999:.0%} of 9,999 allowed",
    }
    assert shown["trials"]["hint"] == f"{len(ranking.ranked)} ranked, 1 running"


def test_what_stands_beside_the_figures_names_what_the_runs_have() -> None:
    ours, bare = synthetic.ranking(40), rank(SweepInfo(id="s", method="grid"), [RunRecord("r")])
    assert "lr along the same epoch below" in notes(ours, compared=True)["curves"]
    assert "random search" in notes(ours, compared=False)["best"]
    assert notes(bare, compared=False)["ranking"] == "By age: no metric is named."
    assert notes(bare, compared=False)["curves"].startswith("The best runs in colour, the others in grey. ")
    assert lede(bare.info) == "grid: no metric"
