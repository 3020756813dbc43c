"""Everything there is to say about a sweep, worked out once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mnist_sweep.review import provenance_text
from mnist_sweep.review.findings import findings
from mnist_sweep.review.importance import Importance, Sample, measure
from mnist_sweep.review.mistakes import Media
from mnist_sweep.review.provenance import Chain
from mnist_sweep.review.ranking import Ranking
from mnist_sweep.review.statistics import Noise, noise


@dataclass(frozen=True)
class Review:
    """What the page, the W&B report and the terminal show."""

    ranking: Ranking
    importance: Importance
    noise: Noise | None
    findings: tuple[str, ...]
    random: tuple[float, ...] = ()
    """The values of a random search over the same space, best first."""
    media: Mapping[str, Media] = field(default_factory=dict)
    """Run id to what it got wrong, the best run first."""
    chain: Chain = field(default_factory=Chain)
    """The finals and confirmations that followed."""
    sentences: tuple[str, ...] = ()
    """What these say, the number that counts first."""
    commands: tuple[str, ...] = ()
    """How to do it again, as lines for a shell."""


def review(
    ranking: Ranking,
    *,
    random: Ranking | None = None,
    media: Mapping[str, Media] | None = None,
    samples: int | None = None,
    chain: Chain | None = None,
    measured: Callable[[Sample], Importance] = measure,
) -> Review:
    """Review a ranking.

    `random` is a random search over the same space. `samples` is how many samples stand behind one value of the
    metric; without it, a confusion matrix in `media` tells. `measured` replaces `importance.measure`, for instance by
    one that remembers.
    """
    chain = chain or Chain()
    media = media or {}
    best, words = ranking.best, ranking.presentation
    counted = samples or next((one.confusion.total for one in media.values() if one.confusion), None)
    known = noise(best.value, counted, fraction=words.fraction) if best else None
    mattered = measured(Sample.of(ranking))
    drawn = tuple(random.values) if random else ()
    order = {trial.id: place for place, trial in enumerate(ranking.ranked)}
    shown = {run: media[run] for run in sorted(media, key=lambda run: order.get(run, len(order)))}
    said = tuple(findings(ranking, mattered, known, drawn))
    told = tuple(provenance_text.sentences(chain))
    return Review(ranking, mattered, known, said, drawn, shown, chain, told)
