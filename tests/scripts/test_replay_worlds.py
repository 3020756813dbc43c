"""The worlds of the replay: what is measured on real trainings, and which replicate has which role."""

import json
from pathlib import Path

import numpy as np
import pytest

from scripts import replay_worlds
from scripts.replay_worlds import recorded, relation, simulated_world, table_cells, table_world, unordered
from scripts.table import KINDS, SHORT, SHORT_WIDE, WHOLE, draw_configurations


def test_the_simulated_world_repeats_and_has_the_measured_relations() -> None:
    one, again = simulated_world(3, 0.8), simulated_world(3, 0.8)
    assert (one.losses[WHOLE] == again.losses[WHOLE]).all()
    assert one.truth.mean() == pytest.approx(0.0, abs=1e-9)
    means = {epochs: losses.mean(1) for epochs, losses in one.losses.items()}
    assert 0.5 < np.corrcoef(means[SHORT], one.truth)[0, 1] < 0.95
    assert one.seconds[SHORT].mean() < 0.5 * one.seconds[WHOLE].mean()


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


@pytest.fixture
def small_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of ten configurations whose objective tells configuration, epochs and replicate."""
    lines = [
        {
            "configuration": number,
            "replicate": replicate,
            **kind._asdict(),
            "precision": "float32",
            "values": values,
            "diverged": number == 9 and replicate == 1,
            "objective": number + kind.epochs / 100 + replicate / 1000,
            "accuracy": 0.99,
            "core_seconds": float(kind.epochs),
        }
        for number, values in enumerate(draw_configurations(10))
        for kind in KINDS
        for replicate in range(3)
    ]
    file = tmp_path / "table.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr(replay_worlds, "FILE", file)
    return file


@pytest.mark.usefixtures("small_table")
def test_only_complete_configurations_of_the_table_take_part() -> None:
    cells = table_cells()
    assert cells.configurations == list(range(9)), "the tenth diverged once"
    assert cells.losses[WHOLE].shape == (9, 3)
    assert cells.losses[SHORT][4].tolist() == pytest.approx([4.05, 4.051, 4.052])


@pytest.mark.usefixtures("small_table")
def test_the_replicates_of_a_table_change_roles_and_no_trial_holds_out_images_that_judge_it() -> None:
    trials, judges = set(), set()
    for seed in range(20):
        world = table_world(seed)
        assert world.allowed(0) == [0, 1], "the last replicate is for judging"
        order = np.round(world.losses[WHOLE] * 1000).astype(int) % 10
        short = np.round(world.losses[SHORT] * 1000).astype(int) % 10
        assert (short == order).all(), "trials of every kind are on the same replicate"
        trials.add(int(order[0, 0]))
        judges.add(int(order[0, 2]))
    assert trials == {1, 2}, "replicate 0 of a wide trial holds out the folds of all judges"
    assert judges == {0, 1, 2}


def test_a_small_table_is_refused_in_one_line(small_table: Path) -> None:
    small_table.write_text("")
    with pytest.raises(
        SystemExit,
        match="the table has 0 configurations with 3 replicates of each kind, but a replay needs at least 8",
    ):
        table_world(0)


def test_the_report_names_every_kind_of_training(capsys: pytest.CaptureFixture[str]) -> None:
    replay_worlds.main()
    shown = capsys.readouterr().out
    for line in (
        "15 epochs, 5,000 held-out",
        "5 epochs, 5,000 held-out",
        "5 epochs, 20,000 held-out",
        "true correlation",
    ):
        assert line in shown
