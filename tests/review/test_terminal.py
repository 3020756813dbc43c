from __future__ import annotations

from dataclasses import replace

from rich.console import Console

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
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
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
    assert max(map(len, shown(build_review(RANKING), width=60).splitlines())) <= 60
    assert "No run has reported val/accuracy yet" in shown(build_review(rank(INFO, [])))


def test_a_sweep_without_sizes_has_no_column_for_them() -> None:
    found = rank(SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE), [RunRecord("a", summary={"loss": 0.5})])
    text = shown(build_review(found))
    assert "parameters" not in text
    assert "0.5" in text


def test_what_is_logged_once_has_no_column_for_its_best() -> None:
    once = [RunRecord(f"lr{i}-r0-9p", summary={"loss": i}, history=[{"loss": i}]) for i in (1, 2)]
    text = shown(build_review(rank(SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE), once)))
    assert "best" not in text.split("What the runs say")[0]
    assert "lr1-r0-9p" in text
    better = [RunRecord("a", summary={"loss": 2.0}, history=[{"loss": 1.0}, {"loss": 2.0}])]
    text = shown(build_review(rank(SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE), better)))
    assert "best" in text.split("What the runs say")[0]


def test_square_brackets_in_names_are_not_markup() -> None:
    runs = [replace(run, name=f"[red]{run.name}[/]") for run in RUNS]
    assert f"[red]{RANKING.ranked[0].label}[/]" in shown(build_review(rank(INFO, runs)), width=160)


def test_the_line_of_blocks_rises_to_the_best_for_either_goal() -> None:
    line = best_so_far_line(RANKING)
    assert line is not None
    blocks = [c for c in line.plain if c in "▁▂▃▄▅▆▇█"]
    assert blocks == sorted(blocks)
    assert blocks[-1] == "█"
    assert best_so_far_line(rank(replace(INFO, metric="val/loss", goal=Goal.MINIMIZE), RUNS)) is not None
