"""What is measured on the table of real trainings."""

from pathlib import Path

import numpy as np
import pytest

from scripts import replay_table
from scripts.replay_table import recorded, relation, table_cells, unordered
from scripts.table import SHORT, SHORT_WIDE, WHOLE


def test_recorded_trainings_lie_in_the_space() -> None:
    found = recorded()
    assert len(found) > 80
    assert all(len(each.point) == len(unordered()) for each in found)
    assert all(0.01 < each.objective < 0.06 for each in found)


@pytest.mark.parametrize("true", [0.0, 0.6, 1.0])
def test_the_relation_of_lengths_is_estimated_without_the_noise(true: float) -> None:
    rng = np.random.default_rng(1)
    whole, own = rng.normal(0, 1, (2, 3000))
    short = 2 * (true * whole + np.sqrt(1 - true**2) * own)
    fold_luck = rng.normal(0, 1, (3000, 2))  # what the images of a fold do to both lengths
    found = relation(
        short[:, None] + fold_luck + rng.normal(0, 1.5, (3000, 2)),
        whole[:, None] + fold_luck + rng.normal(0, 1, (3000, 2)),
        SHORT,
    )
    assert found.correlation == pytest.approx(true, abs=0.08)
    assert found.interval[0] - 0.02 <= true <= found.interval[1] + 0.02
    assert found.signal_ratio == pytest.approx(2, abs=0.2)
    assert found.noise_ratio == pytest.approx(np.hypot(1, 1.5) / np.hypot(1, 1), abs=0.1)
    assert found.reliability == pytest.approx(true * 2 / np.sqrt(4 + 1 + 1.5**2), abs=0.05)


def test_trainings_that_hold_out_the_same_images_do_not_count_as_agreement() -> None:
    """Replicate 0 of a wide trial holds out folds 0 to 3, which whole trainings of replicates 1 and 2 hold out too."""
    rng = np.random.default_rng(1)
    luck = rng.normal(0, 3, (3000, 12))  # what each fold does to each configuration
    short, whole = rng.normal(0, 1, (2, 3000, 1))
    found = relation(short + luck.reshape(3000, 3, 4).mean(2), whole + luck[:, :3], SHORT_WIDE)
    assert found.correlation == pytest.approx(0, abs=0.1)


@pytest.mark.usefixtures("small_table")
def test_only_complete_configurations_of_the_table_take_part() -> None:
    cells = table_cells()
    assert cells.configurations == list(range(9)), "the tenth diverged once"
    assert cells.losses[WHOLE].shape == (9, 3)
    assert cells.losses[SHORT][4].tolist() == pytest.approx([4.05, 4.051, 4.052])


def test_a_small_table_is_refused_in_one_line(small_table: Path) -> None:
    small_table.write_text("")
    with pytest.raises(
        SystemExit,
        match="the table has 0 configurations with 3 replicates of each kind, but a replay needs at least 8",
    ):
        table_cells()


def test_the_report_names_every_kind_of_training(capsys: pytest.CaptureFixture[str]) -> None:
    replay_table.main()
    shown = capsys.readouterr().out
    for line in (
        "15 epochs, 5,000 held-out",
        "5 epochs, 5,000 held-out",
        "5 epochs, 20,000 held-out",
        "true correlation",
    ):
        assert line in shown
