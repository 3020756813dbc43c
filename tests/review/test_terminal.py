from __future__ import annotations

from rich.console import Console

from mnist_sweep.review.records import SweepInfo, ranked
from mnist_sweep.review.terminal import best_so_far_line, summary
from tests.review import synthetic

INFO = synthetic.info()
RUNS = synthetic.sweep(40)


def shown(*arguments: object, width: int = 110, **options: object) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(summary(*arguments, **options))  # type: ignore[arg-type]
    return console.export_text()


def test_the_summary_has_the_ranking_the_reasons_and_the_findings() -> None:
    text = shown(INFO, RUNS, baseline=synthetic.sweep(20, seed=3), evaluated_on=5000)
    best = ranked(RUNS, INFO)[0]
    assert best.label in text
    assert INFO.show(best.summary["val/accuracy"]) in text
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
    assert max(map(len, shown(INFO, RUNS, width=60).splitlines())) <= 60
    assert "No run has reported val/accuracy yet" in shown(INFO, [])


def test_square_brackets_in_names_are_not_markup() -> None:
    from dataclasses import replace

    runs = [replace(run, name=f"[red]{run.name}[/]") for run in RUNS]
    assert f"[red]{ranked(RUNS, INFO)[0].name}[/]" in shown(INFO, runs, width=160)


def test_the_line_of_blocks_rises_to_the_best_for_either_goal() -> None:
    line = best_so_far_line(INFO, RUNS)
    assert line is not None
    blocks = [c for c in line.plain if c in "▁▂▃▄▅▆▇█"]
    assert blocks == sorted(blocks)
    assert blocks[-1] == "█"
    loss = SweepInfo(**(vars(INFO) | {"metric": "val/loss", "goal": "minimize"}))
    assert best_so_far_line(loss, RUNS) is not None
