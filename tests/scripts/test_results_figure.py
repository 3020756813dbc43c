"""The figure of README.md shows what docs/results.md says."""

from pathlib import Path

from scripts.results_figure import RESULTS, figure, points

PAGE = Path(__file__).parents[2] / "docs" / "results.md"


def test_each_winner_is_a_row_of_the_results() -> None:
    text = PAGE.read_text()
    for point in points(RESULTS / "confirmed.jsonl"):
        if point.seeds >= 10 and point.parameters != 9_584:  # that one has a seed of an earlier configuration
            rows = [line for line in text.splitlines() if line.startswith("| ") and f"| {point.parameters:,} |" in line]
            result = f"{point.mean:.2f} % ± {point.half_width:.2f}"
            assert [row for row in rows if f"| {point.seeds} |" in row and result in row], result


def test_the_figure_has_a_winner_for_each_limit() -> None:
    (winners,) = [trace for trace in figure().data if trace.name == "winner of each size"]
    assert sorted(winners.x) == [985, 2_875, 4_613, 9_698]
