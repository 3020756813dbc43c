from mnist_sweep.review.captions import best_text, lede, notes, run_tiles, tiles
from mnist_sweep.review.fields import sweep_info
from mnist_sweep.review.ranking import rank
from mnist_sweep.review.records import Objective, RunRecord, SweepInfo
from mnist_sweep.search.goal import Goal
from tests.review import synthetic


def test_tiles_of_a_sweep() -> None:
    ranking = synthetic.ranking(40)
    shown = {tile["label"]: tile for tile in tiles(ranking)}
    best = ranking.ranked[0]
    assert shown["best val/accuracy"]["value"] == ranking.presentation.show(best.value)
    assert shown["its parameters"] == {
        "label": "its parameters",
        "value": f"{best.size:,.0f}",
        "hint": f"{100 * (best.size or 0) / 9999:.0f} % of 9,999 allowed",
    }
    assert shown["trials"]["hint"] == f"{len(ranking.ranked)} ranked, 1 running"


def test_a_state_is_explained() -> None:
    *_, state = tiles(rank(SweepInfo(id="s", state="idle at 4 of 9 trials"), []))
    hint = "no agent works on it; one can join at any time"
    assert state == {"label": "state", "value": "idle at 4 of 9 trials", "hint": hint}
    assert tiles(rank(SweepInfo(id="s", state="RUNNING"), []))[-1]["hint"] == ""


def test_what_stands_beside_the_figures_names_what_the_runs_have() -> None:
    ours, bare = synthetic.ranking(40), rank(SweepInfo(id="s", method="grid"), [RunRecord(id="r")])
    assert "lr over the same axis is below" in notes(ours, compared=True)["curves"]
    assert "random search" in notes(ours, compared=False)["best"]
    assert notes(bare, compared=False)["ranking"] == "By age: the sweep names no metric."
    assert notes(bare, compared=False)["curves"].startswith("The best runs are in colour, the others in grey. ")
    assert lede(bare.info) == "grid: no metric"


def test_until_a_run_is_ranked_the_running_one_shows_its_fraction_or_its_proxy() -> None:
    info = SweepInfo(id="s", metric="objective", goal=Goal.MINIMIZE)
    live = RunRecord(id="a", state="running", summary={"val/loss": 0.0512, "val/accuracy": 0.98})
    first, second, *_ = tiles(rank(info, [live]))
    assert first["hint"] == "nothing ranked yet"
    assert second == {"label": "running: val/accuracy", "value": "98.00 %", "hint": "a"}
    assert best_text(rank(info, [live])) == "running: 98.00 % val/accuracy"
    _, second, *_ = tiles(rank(info, [RunRecord(id="a", state="running", summary={"val/loss": 0.0512})]))
    assert second == {"label": "running: val/loss", "value": "0.05120", "hint": "a"}
    done = RunRecord(id="b", summary={"val/accuracy": 0.99, "objective": 0.04})
    assert best_text(rank(info, [live, done])) == "0.04000 (99.00 % val/accuracy)"
    assert [tile["label"] for tile in tiles(rank(info, [done]))][:2] == ["best objective", "its val/accuracy"]
    labels = [tile["label"] for tile in run_tiles(rank(info, [live]).trials[0], rank(info, [live]))]
    assert labels[:3] == ["objective", "val/loss", "val/accuracy"]


def test_two_objectives_are_named_and_their_front_is_counted() -> None:
    info = SweepInfo(id="s", metric="acc", goal=Goal.MAXIMIZE, second=Objective("seconds"))
    runs = [RunRecord(id=str(i), summary={"acc": i / 10, "seconds": float(i)}) for i in (1, 2, 3)]
    found = tiles(rank(info, runs))
    assert found[0] == {"label": "non-dominated runs", "value": "3", "hint": "acc, seconds"}
    assert lede(info) == "sweep: maximize acc and minimize seconds"
    assert "come first" in notes(rank(info, runs), compared=False)["ranking"]


def test_a_sweep_with_a_parameter_called_replicate_says_what_the_search_makes_of_it() -> None:
    info = sweep_info(
        {"method": "bayes", "parameters": {"replicate": {"value": 0}, "x": {"min": 0.0, "max": 1.0}}}, id="s"
    )
    hints = {tile["label"]: tile["hint"] for tile in tiles(rank(info, []))}
    assert hints["search"] == "1 field; replicate tells the search that runs are noisy"
    random = sweep_info({**info.config, "method": "random"}, id="s")
    assert {tile["label"]: tile["hint"] for tile in tiles(rank(random, []))}["search"] == "1 field"
