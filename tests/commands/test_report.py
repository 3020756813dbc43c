"""`mnist-sweep report`: what it prints and writes about a review. tests/e2e reviews real sweeps."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnist_sweep.commands.report import _augmentation
from mnist_sweep.connection import connect
from mnist_sweep.connection.connect import WandbServer
from mnist_sweep.review import wandb_report
from mnist_sweep.review.review import Review
from mnist_sweep.sweep import live_view, remote
from mnist_sweep.sweep.remote import Sweep
from mnist_sweep.training import mnist
from tests.conftest import RunCommand
from tests.review import synthetic

MINE = {"program": "mnist_sweep/train.py"}
AUGMENTATION = "What augmentation does"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[Review]:
    """Return the reviews that are published. The server has invented runs, of this project and of another program."""
    reviews: list[Review] = []

    @contextmanager
    def connected_server(say: Callable[[str], None]) -> Iterator[WandbServer]:
        yield WandbServer(url="http://host", local=True)

    def find(path: str, project: str) -> Sweep:
        config = {"program": "other.py"} if path == "other" else MINE
        return Sweep(path=f"local/tests/{path}", url=f"http://host/{path}", config=config)

    def publish(review: Review) -> str:
        reviews.append(review)
        return "http://host/report"

    def fetch_review(sweep: Sweep, **options: Any) -> Review:
        return synthetic.reviewed(12)

    monkeypatch.setattr(connect, "connected_server", connected_server)
    monkeypatch.setattr(remote, "find", find)
    monkeypatch.setattr(remote, "fetch_review", fetch_review)
    monkeypatch.setattr(wandb_report, "publish", publish)
    return reviews


def test_a_sweep_of_this_project_gets_its_next_commands_and_a_page(
    run_command: RunCommand, published: list[Review], mnist_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "new" / "review.html"
    code, out, err = run_command("report", "abc", f"--html={file}")
    assert (code, err) == (0, "")
    (review,) = published
    best = review.ranking.best
    assert best is not None
    assert review.commands == (
        live_view.best_command(best.record),
        "mnist-sweep finals local/tests/abc",
        "mnist-sweep confirm local/tests/finals-abc --seeds=20",
    )
    assert [line for line in out.splitlines() if line.startswith(("Page:", "Report:", "Sweep:"))] == [
        f"Page:    {file}",
        "Report:  http://host/report",
        "Sweep:   http://host/abc",
    ]
    page = file.read_text("utf-8")
    assert AUGMENTATION in page
    assert "mnist-sweep finals local/tests/abc" in page


def test_a_sweep_of_another_program_has_neither(
    run_command: RunCommand, published: list[Review], tmp_path: Path
) -> None:
    file = tmp_path / "review.html"
    assert run_command("report", "other", f"--html={file}")[0] == 0
    assert [review.commands for review in published] == [()]
    assert AUGMENTATION not in file.read_text("utf-8")


def test_a_page_that_cannot_be_written_is_one_line(
    run_command: RunCommand, published: list[Review], tmp_path: Path
) -> None:
    code, _, err = run_command("report", "other", f"--html={tmp_path}")
    assert (code, err, published) == (1, f"error: cannot write {tmp_path}: Is a directory\n", [])


def test_the_gallery_shows_the_same_digits_at_each_strength(mnist_folder: Path) -> None:
    gallery = _augmentation()
    assert list(gallery.rows) == ["strength 0", "strength 0.5", "strength 1", "strength 1.5"]
    shown = {
        name: np.stack([np.asarray(Image.open(io.BytesIO(png))) for png in pngs]) for name, pngs in gallery.rows.items()
    }
    digits = mnist.selection_split().train.images[:10].reshape(10, 28, 28).numpy()
    assert np.array_equal(shown["strength 0"], digits)
    assert all(images.shape == (10, 28, 28) for images in shown.values())
    assert not np.array_equal(shown["strength 0.5"], shown["strength 1.5"])
