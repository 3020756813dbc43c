"""What a page shows, as plain JSON.

The local server embeds it in its pages and sends changes to open pages. `review.page` writes it into one file.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from mnist_sweep.review import figures, provenance_text
from mnist_sweep.review.captions import lede, notes, run_tiles, tiles
from mnist_sweep.review.mistakes import Media, png_uri
from mnist_sweep.review.presentation import axis_name
from mnist_sweep.review.ranking import Ranking, Trial
from mnist_sweep.review.review import Review
from mnist_sweep.review.table import runs_table

Payload = dict[str, Any]


def sweep_payload(review: Review) -> Payload:
    """Return everything that the page of a sweep shows. `as_json` writes NaN and infinities as null."""
    ranking, importance = review.ranking, review.importance
    points = figures.all_points(ranking)
    drawn = {
        "parallel": figures.parallel_coordinates(ranking),
        "importance": figures.importance_bars(importance),
        "tradeoff": figures.tradeoff(ranking),
        "best": figures.best_so_far(ranking, review.random_values),
        "curves": _without_points(figures.learning_curves(ranking, points)),
        "slices": figures.slices(ranking, list(importance.shares)),
        "timeline": figures.timeline(ranking),
    }
    info = ranking.info
    return {
        "texts": {"lede": lede(info), "ranking": "Ranking" if info.metric else "Runs"},
        "chain": chain_payload(review),
        "stats": tiles(ranking),
        "notes": notes(ranking, compared=bool(review.random_values)) | {"importance": importance.warning},
        "findings": list(review.findings),
        "table": runs_table(ranking).as_dict(),
        "figures": {name: figure for name, figure in drawn.items() if figure},
        "curves": {trial.id: points[trial.id] for trial in ranking.trials if trial.record.history},
        "mistakes": _mistakes(review.media, ranking),
        "commands": list(review.commands),
    }


def chain_payload(review: Review) -> Payload:
    """Return what followed the sweep: the number that counts, four steps to it, sentences and the finals' table."""
    chain, ranking = review.chain, review.ranking
    if chain.empty:
        return {}
    best = ranking.best
    found = f"{ranking.presentation.show(best.value)} {ranking.info.metric}" if best else "–"
    one = chain.confirmed
    return {
        "headline": provenance_text.headline(one) if one else "",
        "metric": f"{one.metric}, mean of {len(one.values)} seeds ± 95 % interval" if one else "",
        "steps": provenance_text.steps(
            chain, lede(ranking.info), f"the best of {len(ranking.ranked)} ranked trials", found
        ),
        "sentences": list(review.sentences),
        "finals": provenance_text.standing(chain.finals),
    }


def run_payload(trial: Trial, ranking: Ranking, media: Media | None = None) -> Payload:
    """Return everything that the page of a run shows. The ranking says which metric the run optimises."""
    curves, points = figures.run_curves(trial.record), figures.logged_points(trial.record)
    return {
        "stats": run_tiles(trial, ranking),
        "figures": {"run": _without_points(curves)} if curves else {},
        "axes": {axis: axis_name(axis) for axis in figures.axes(trial.record, points)},
        "curves": {trial.id: points},
        "mistakes": _mistakes({trial.id: media} if media else {}, ranking),
    }


def _mistakes(media: Mapping[str, Media], ranking: Ranking) -> Payload:
    trials = {trial.id: trial for trial in ranking.trials}
    return {
        run: {
            "name": " ".join(_name(trials[run], ranking)),
            "confusion": figures.confusion_matrix(logged.confusion) if logged.confusion else None,
            "images": [
                {
                    "src": png_uri(one.png),
                    "label": one.label,
                    "prediction": one.prediction,
                    "confidence": one.confidence,
                    "index": one.index,
                }
                for one in logged.mistakes
            ],
        }
        for run, logged in media.items()
    }


def _name(trial: Trial, ranking: Ranking) -> Iterable[str]:
    yield trial.label
    if trial.value is not None:
        yield f"({ranking.presentation.show(trial.value)})"


def _without_points(figure: figures.Figure | None) -> figures.Figure | None:
    """Remove the points from a figure's traces: the payload's `curves` has them once, by run."""
    for trace in figure["data"] if figure else ():
        del trace["x"], trace["y"]
    return figure
