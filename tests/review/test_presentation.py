import pytest

from mnist_sweep.review.presentation import RATE, Presentation, is_fraction, read
from mnist_sweep.review.records import RunRecord, SweepInfo
from mnist_sweep.search.goal import Goal
from tests.review import synthetic

LOSS = SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE)


def test_what_our_runs_say() -> None:
    assert read(synthetic.info(), synthetic.sweep(20)) == Presentation(
        axis="epoch", size="parameters", limit=9999, rate="lr", fraction=True
    )


def test_runs_that_say_nothing_have_steps_and_no_size_no_rate_no_per_cent() -> None:
    rows = [{"_step": 0, "loss": 2.0, "epoch": 0}]
    assert read(LOSS, [RunRecord(id="r", summary={"loss": 2.0, "parameters": 5}, history=rows)]) == Presentation()
    assert read(SweepInfo(id="s"), []) == Presentation()


def test_size_is_what_has_a_constraint_of_its_own_name() -> None:
    runs = [
        RunRecord(id="a", summary={"constraint/x": 3}),
        RunRecord(id="b", summary={"constraint/mb": -2.5, "mb": 1.5}),
    ]
    words = read(LOSS, runs)
    assert (words.size, words.limit) == ("mb", 4.0)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("val/accuracy", [0.9, None, 1.0], True),
        ("val_acc", [0.5], True),
        ("test.f1", [0.5], True),
        ("accuracy", [93.1], False),  # already in per cent
        ("loss", [0.5], False),
        ("accumulated", [0.5], False),
        ("space", [0.5], False),
    ],
)
def test_a_share_is_named_like_one_and_lies_between_0_and_1(
    name: str, values: list[float | None], expected: bool
) -> None:
    assert is_fraction(name, values) is expected


def test_names_of_learning_rates() -> None:
    names = ["lr", "train/learning_rate", "lr-Adam", "optimizer/lr", "learning rate", "lrx", "color", "slr"]
    assert [name for name in names if RATE.fullmatch(name)] == names[:5]


def test_values_for_people() -> None:
    share, plain = Presentation(fraction=True), Presentation(axis="global_steps")
    assert [share.show(0.99526), plain.show(0.123456), plain.show(None), plain.show(float("nan"))] == [
        "99.53 %",
        "0.1235",
        "–",
        "–",
    ]
    assert [plain.show(value) for value in (0.191, 0.1896, 12, 1234, 0)] == [
        "0.1910",
        "0.1896",
        "12.00",
        "1234",
        "0.000",
    ]
    assert (Presentation().step, Presentation().plural, plain.plural) == ("step", "steps", "global_steps")


def test_where_the_metric_comes_at_the_end_held_out_data_tell_how_a_run_is_doing() -> None:
    info = SweepInfo(id="s", metric="score", goal=Goal.MINIMIZE)
    rows = [{"epoch": n, "train/loss": 1.0, "val/accuracy": 0.9, "val/loss": 0.3} for n in (1, 2)]
    running = RunRecord(id="r", history=rows[:1], step_metrics={"val/*": "epoch"})
    ended = RunRecord(id="e", history=[*rows, {"score": 0.2}], step_metrics={"val/*": "epoch"})
    for runs in ([running], [ended], [running, ended]):
        assert (read(info, runs).proxy_metric, read(info, runs).axis) == ("val/loss", "epoch")
    assert read(SweepInfo(id="s", metric="score", goal=Goal.MAXIMIZE), [ended]).proxy_metric == "val/accuracy"
    assert (
        read(SweepInfo(id="s", metric="train/loss", goal=Goal.MINIMIZE), [ended]).proxy_metric == ""
    )  # it has curves of its own
    assert read(SweepInfo(id="s"), [ended]).proxy_metric == ""
