"""A recorded job in the data folder of a local server."""

from pathlib import Path

from mnist_sweep.server import records
from mnist_sweep.server.store import Store
from mnist_sweep.server.store.rows import Sweep
from scripts.recorded import restore


def test_a_recorded_job_is_ranked_with_its_times(tmp_path: Path) -> None:
    path = restore(tmp_path / "data")
    store = Store(tmp_path / "data")
    with store.read() as db:
        ranking, best = records.best(db, Sweep.get(db, *path.split("/")))
    store.close()
    assert (len(ranking.trials), len(ranking.ranked)) == (20, 16)
    assert best is not None
    assert best.value < 0.0164
    assert best.record.seconds is not None
    assert best.record.seconds > 60
