from dataclasses import replace

import pytest
from rich.console import Console

from mnist_sweep.review.importance import Importance
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import RunRecord, SweepInfo
from mnist_sweep.review.review import Review, build_review
from mnist_sweep.review.terminal import best_so_far_line, summary
from mnist_sweep.search.goal import Goal
from tests.review import synthetic

INFO = synthetic.info()
RUNS = synthetic.sweep(40)
RANKING = rank(INFO, RUNS)


def shown(found: Review, width: int = 110) -> str:
    console = Console(width=width, record=True, soft_wrap=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(summary(found))
    return console.export_text()


def test_the_summary_has_the_ranking_the_reasons_and_the_findings() -> None:
    text = shown(synthetic.reviewed(40, random=20))
    best = RANKING.ranked[0]
    assert best.label in text
    assert RANKING.presentation.show(best.value) in text
    for words in (
        "Ranking",
        "Not ranked",
        "the limit is 10,000",
        "What mattered",
        "What the runs say",
        "random search",
    ):
        assert words in text


def test_it_fits_a_narrow_terminal_and_an_empty_sweep() -> None:
    text = shown(build_review(RANKING), width=60)
    assert max(map(len, text.splitlines())) <= 60
    assert all(trial.label in text for trial in RANKING.ranked[:10])  # in one line: columns go before names are cut
    assert f"over {len(RANKING.progress)} ranked trials" in " ".join(text.split())
    assert "No run has reported val/accuracy yet" in shown(build_review(rank(INFO, [])))


def test_a_sweep_without_sizes_has_no_column_for_them() -> None:
    found = rank(SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE), [RunRecord(id="a", summary={"loss": 0.5})])
    text = shown(build_review(found))
    assert "parameters" not in text
    assert "0.5" in text


def test_what_is_logged_once_has_no_column_for_its_best() -> None:
    once = [RunRecord(id=f"lr{i}-r0-9p", summary={"loss": i}, history=[{"loss": i}]) for i in (1, 2)]
    text = shown(build_review(rank(SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE), once)))
    assert "best" not in text.split("What the runs say")[0]
    assert "lr1-r0-9p" in text
    bare = [replace(run, history=[]) for run in once]
    assert "best" not in shown(build_review(rank(SweepInfo(id="s", metric="loss"), bare))).split("What the runs say")[0]
    better = [RunRecord(id="a", summary={"loss": 2.0}, history=[{"loss": 1.0}, {"loss": 2.0}])]
    text = shown(build_review(rank(SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE), better)))
    assert "best" in text.split("What the runs say")[0]


def test_square_brackets_in_names_are_not_markup() -> None:
    runs = [replace(run, name=f"[red]{run.name}[/]") for run in RUNS]
    assert f"[red]{RANKING.ranked[0].label}[/]" in shown(build_review(rank(INFO, runs)), width=160)


def test_the_line_of_blocks_is_as_high_as_the_values() -> None:
    """It rises for a metric to maximise, and falls for a loss."""
    rising = best_so_far_line(RANKING)
    losses = [RunRecord(id=str(i), summary={"loss": 1.0 / i}) for i in range(1, 9)]
    falling = best_so_far_line(rank(SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE), losses))
    assert rising is not None
    assert falling is not None
    heights = [[c for c in line.plain if c in "▁▂▃▄▅▆▇█"] for line in (rising, falling)]
    assert heights[0] == sorted(heights[0])
    assert heights[1] == sorted(heights[1], reverse=True)
    assert (heights[0][-1], heights[1][-1]) == ("█", "▁")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_ranking_shows_as_many_fields_as_fit(width: int) -> None:
    text = shown(build_review(RANKING), width=width)
    assert max(map(len, text.splitlines())) <= width
    head = next(line for line in text.splitlines() if "run" in line and "val/accuracy" in line)
    assert ("max_lr" in head) == (width >= 80)


def test_a_warning_is_shown_whole_on_a_console_that_wraps_softly() -> None:
    """`mnist-sweep report` prints to such a console, which cut the warning off at its width."""
    warning = "8 trials are a small sample for 4 fields: this is a hint at most. The order is reliable from 20 trials."
    console = Console(width=80, record=True, file=open("/dev/null", "w"), soft_wrap=True)  # noqa: SIM115, PTH123
    importance = Importance(shares={"a": 1.0}, noise={"a": 0.5}, trials=8, warning=warning)
    console.print(summary(replace(synthetic.reviewed(8), importance=importance)))
    assert warning in " ".join(console.export_text().split())
