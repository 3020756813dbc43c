"""The table of real trainings: its order, its schedules, and the file that is kept."""

from mnist_sweep.config import EPOCH_LIMIT, parse
from scripts.objective import rows
from scripts.table import (
    BLOCK,
    FILE,
    SHORT_EPOCHS,
    draw_configurations,
    list_trainings,
    missing_trainings,
)


def test_a_larger_table_extends_a_smaller_one() -> None:
    assert draw_configurations(5)[:3] == draw_configurations(3)


def test_every_configuration_is_within_the_limit_at_both_schedules() -> None:
    for values in draw_configurations(8):
        for epochs in (SHORT_EPOCHS, EPOCH_LIMIT):
            config = parse({**values, "epochs": epochs})
            assert config.parameters < 10_000
            assert config.epochs == epochs


def test_the_first_block_is_complete_before_the_next_begins() -> None:
    order = list(list_trainings(BLOCK + 1, 2))
    assert len(order) == len({each.key for each in order}) == (BLOCK + 1) * 2 * 2
    assert all(each.configuration < BLOCK for each in order[: BLOCK * 4])
    assert [each.epochs for each in order[: 2 * BLOCK]] == [EPOCH_LIMIT] * BLOCK + [SHORT_EPOCHS] * BLOCK


def test_present_trainings_are_skipped() -> None:
    order = list(list_trainings(2, 1))
    found = [{"configuration": 1, "replicate": 0, "epochs": 5, "precision": "float32"}]
    found += [{"configuration": 0, "replicate": 0, "epochs": 5, "precision": "bfloat16"}]
    assert [each.key for each in missing_trainings(order, found)] == [(0, 0, 15), (1, 0, 15), (0, 0, 5)]


def test_the_recorded_table_holds_what_the_command_trains() -> None:
    recorded = rows(FILE)
    drawn = draw_configurations(max(row["configuration"] for row in recorded) + 1)
    for row in recorded:
        assert row["values"] == drawn[row["configuration"]]
        assert len(row["loss_by_epoch"]) == row["epochs"] or row["diverged"]
    keys = [(row["configuration"], row["replicate"], row["epochs"], row["precision"]) for row in recorded]
    assert len(set(keys)) == len(keys)
