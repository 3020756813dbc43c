"""The review of a sweep, computed once. Pages, report and terminal only draw it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mnist_sweep.review import provenance_text
from mnist_sweep.review.findings import findings
from mnist_sweep.review.importance import Importance, Sample, measure
from mnist_sweep.review.mistakes import Media
from mnist_sweep.review.provenance import Chain
from mnist_sweep.review.ranking import Ranking
from mnist_sweep.review.statistics import Noise, noise


@dataclass(frozen=True, kw_only=True)
class Review:
    """What the page, the W&B report and the terminal show of a sweep."""

    ranking: Ranking
    importance: Importance
    noise: Noise | None
    findings: tuple[str, ...]
    random_values: tuple[float, ...] = ()
    """The values of a random search over the same space, best first."""
    media: Mapping[str, Media] = field(default_factory=dict)
    """By run id what the run got wrong, the best run first."""
    chain: Chain = field(default_factory=Chain)
    """The finals and confirmations that followed the sweep."""
    sentences: tuple[str, ...] = ()
    """The chain in sentences, the number that counts first."""
    commands: tuple[str, ...] = ()
    """Shell commands that reproduce the result."""


def build_review(
    ranking: Ranking,
    *,
    random: Ranking | None = None,
    media: Mapping[str, Media] | None = None,
    samples: int | None = None,
    chain: Chain | None = None,
    measured: Callable[[Sample], Importance] = measure,
) -> Review:
    """Review a ranking.

    Args:
        ranking: the sweep's runs.
        random: a random search over the same space.
        media: by run id what the runs got wrong.
        samples: the number of samples behind one value of the metric. Without it, a confusion matrix in `media` tells.
        chain: what followed the sweep.
        measured: a replacement for `importance.measure`, such as one with a cache.
    """
    chain = chain or Chain()
    best = ranking.best
    place = {trial.id: place for place, trial in enumerate(ranking.ranked)}
    ordered = sorted((media or {}).items(), key=lambda item: place.get(item[0], len(place)))
    counted = samples or next((one.confusion.total for _, one in ordered if one.confusion), None)
    uncertainty = noise(best.value, counted, fraction=ranking.presentation.fraction) if best else None
    importance = measured(Sample.of(ranking))
    random_values = tuple(random.values) if random else ()
    return Review(
        ranking=ranking,
        importance=importance,
        noise=uncertainty,
        findings=tuple(findings(ranking, importance, uncertainty, random_values)),
        random_values=random_values,
        media=dict(ordered),
        chain=chain,
        sentences=tuple(provenance_text.sentences(chain)),
    )
