"""The table of real trainings: its order, its schedules, and the file that is kept."""

from mnist_sweep.config import parse
from scripts.objective import rows
from scripts.table import (
    BLOCK,
    FILE,
    KINDS,
    SHORT,
    SHORT_WIDE,
    WHOLE,
    draw_configurations,
    kind_of,
    list_trainings,
    missing_trainings,
)


def test_a_larger_table_extends_a_smaller_one() -> None:
    assert draw_configurations(5)[:3] == draw_configurations(3)


def test_every_configuration_is_within_the_limit_at_both_schedules() -> None:
    for values in draw_configurations(8):
        for kind in KINDS:
            config = parse({**values, **kind._asdict()})
            assert config.parameters < 10_000
            assert (config.epochs, config.held_out_folds) == kind


def test_the_first_block_is_complete_before_the_next_begins() -> None:
    order = list(list_trainings(BLOCK + 1, 2))
    assert len(order) == len({(each.configuration, each.replicate, each.kind) for each in order}) == (BLOCK + 1) * 2 * 3
    assert all(each.configuration < BLOCK for each in order[: BLOCK * 6])
    assert [each.kind for each in order[: 3 * BLOCK]] == [WHOLE] * BLOCK + [SHORT] * BLOCK + [SHORT_WIDE] * BLOCK


def test_present_trainings_are_skipped() -> None:
    order = list(list_trainings(2, 1))
    found = [{"configuration": 1, "replicate": 0, "epochs": 5, "precision": "float32"}]
    found += [{"configuration": 0, "replicate": 0, "epochs": 5, "precision": "bfloat16"}]
    missing = [(each.configuration, each.kind) for each in missing_trainings(order, found)]
    assert missing == [(0, WHOLE), (1, WHOLE), (0, SHORT), (0, SHORT_WIDE), (1, SHORT_WIDE)]


def test_the_recorded_table_holds_what_the_command_trains() -> None:
    recorded = rows(FILE)
    drawn = draw_configurations(max(row["configuration"] for row in recorded) + 1)
    for row in recorded:
        assert row["values"] == drawn[row["configuration"]]
        assert len(row["loss_by_epoch"]) == row["epochs"] or row["diverged"]
    keys = [(row["configuration"], row["replicate"], kind_of(row), row["precision"]) for row in recorded]
    assert len(set(keys)) == len(keys)
