from functools import lru_cache

from mnist_sweep.review.importance import Sample, measure
from mnist_sweep.review.mistakes import Media
from mnist_sweep.review.review import build_review
from tests.review import synthetic


def test_samples_are_counted_where_nobody_says_how_many() -> None:
    ranking = synthetic.ranking(40)
    shown = {ranking.ranked[0].id: synthetic.mistakes()}
    assert build_review(ranking).noise is None
    counted = build_review(ranking, media=shown).noise
    assert counted is not None
    assert counted.samples == sum(map(sum, synthetic.mistakes().confusion.counts))  # type: ignore[union-attr]
    told = build_review(ranking, media=shown, samples=777).noise
    assert told is not None
    assert told.samples == 777


def test_media_stand_in_the_order_of_the_ranking() -> None:
    ranking = synthetic.ranking(40)
    ids = [trial.id for trial in ranking.ranked[:3]]
    assert list(build_review(ranking, media={run: Media() for run in reversed(ids)}).media) == ids


def test_what_was_measured_is_not_measured_again_while_the_sample_is_the_same() -> None:
    remembered = lru_cache(measure)
    runs = synthetic.sweep(40)
    info = synthetic.info()
    from mnist_sweep.review.ranking import rank

    first = build_review(rank(info, runs), measured=remembered)
    live = [
        record if record.state != "running" else record.__class__(**(vars(record) | {"name": "x"})) for record in runs
    ]
    assert build_review(rank(info, live), measured=remembered).importance is first.importance
    assert remembered.cache_info().misses == 1
    assert isinstance(hash(Sample.of(first.ranking)), int)
