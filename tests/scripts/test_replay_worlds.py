"""The worlds of the replay, and which replicate has which role in them."""

import numpy as np
import pytest

from scripts.replay_worlds import simulated_world, table_world
from scripts.table import SHORT, WHOLE


def test_the_simulated_world_repeats_and_has_the_measured_relations() -> None:
    one, again = simulated_world(3, 0.8), simulated_world(3, 0.8)
    assert (one.losses[WHOLE] == again.losses[WHOLE]).all()
    assert one.truth.mean() == pytest.approx(0.0, abs=1e-9)
    means = {epochs: losses.mean(1) for epochs, losses in one.losses.items()}
    assert 0.5 < np.corrcoef(means[SHORT], one.truth)[0, 1] < 0.95
    assert one.seconds[SHORT].mean() < 0.5 * one.seconds[WHOLE].mean()


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
