from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import Objective, RunRecord, SweepInfo
from mnist_sweep.review.review import build_review
from mnist_sweep.search.goal import Goal

INFO = SweepInfo(id="s", metric="val/accuracy")


def run(name: str, value: float, size: int, epochs: int = 15, state: str = "finished") -> RunRecord:
    summary = {"val/accuracy": value, "parameters": size, "constraint/parameters": size - 9999}
    rows = [{"epoch": epoch, "val/accuracy": value} for epoch in range(1, epochs + 1)]
    return RunRecord(
        id=name, name=name, state=state, summary=summary, history=rows, step_metrics={"val/accuracy": "epoch"}
    )


RUNS = [
    run("first", 0.992, 8000),
    run("second", 0.9915, 5000),
    run("third", 0.95, 9000),
    run("cut", 0.9, 7000, epochs=5, state="killed"),
]


def test_every_sentence_takes_its_numbers_from_the_runs() -> None:
    random = rank(INFO, [RunRecord(id=f"r{i}", summary={"val/accuracy": 0.98 + 0.001 * i}) for i in range(5)])
    said = build_review(rank(INFO, RUNS), random=random, samples=5000).findings
    assert said[0] == "The best run is first: 99.20 % val/accuracy with 8,000 parameters."
    assert said[1].startswith(
        "One value on 5,000 samples has a standard error of 0.13 points; 1 of 2 others are within two of them"
    )
    assert said[2] == "4 trials: 3 ranked, 1 stopped early."
    assert said[3] == (
        "2 runs are non-dominated in val/accuracy and parameters, from 99.15 % with 5,000 to 99.20 % with 8,000; "
        "at most 9,999 are allowed."
    )
    assert said[4].startswith("With 3 ranked trials, random search reaches 98.40 %")
    assert said[4].endswith("and this sweep 99.20 %.") or "this sweep" in said[4]
    assert said[5] == "Early stopping saved 17 % of the epochs (50 of 60 were run)."


def test_a_loss_without_size_or_samples_has_fewer() -> None:
    info = SweepInfo(id="s", metric="loss", goal=Goal.MINIMIZE)
    runs = [RunRecord(id=name, name=name, summary={"loss": value}) for name, value in (("a", 0.5), ("b", 0.25))]
    said = build_review(rank(info, [*runs, RunRecord(id="c")])).findings
    assert said == ("The best run is b: 0.2500 loss.", "3 trials: 2 ranked, 1 finished without loss.")


def test_a_sweep_without_a_metric_counts_its_runs() -> None:
    assert build_review(rank(SweepInfo(id="s"), [RunRecord(id="a"), RunRecord(id="b", state="failed")])).findings == (
        "2 trials: 1 finished, 1 failed.",
    )
    assert build_review(rank(INFO, [])).findings == ("No run has reported val/accuracy yet. 0 trials: none.",)


def test_two_objectives_list_the_non_dominated_runs() -> None:
    info = SweepInfo(id="s", metric="acc", goal=Goal.MAXIMIZE, second=Objective("seconds"))
    points = {"quick": (0.9, 1.0), "beaten": (0.85, 2.0), "slow": (0.95, 3.0)}
    runs = [RunRecord(id=name, name=name, summary={"acc": a, "seconds": s}) for name, (a, s) in points.items()]
    assert build_review(rank(info, runs)).findings[0] == (
        "2 runs are non-dominated in acc and seconds: quick (90.00 %, 1), slow (95.00 %, 3)."
    )
