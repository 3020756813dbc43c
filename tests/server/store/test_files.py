"""The files of a run, by name."""

import pytest

from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.store import Store, files, projects, runs
from mnist_sweep.server.store.rows import File


@pytest.mark.parametrize(
    ("name", "normal"), [("a.txt", "a.txt"), ("./a.txt", "a.txt"), ("a\\b", "a/b"), ("a/../b", "b"), ("a b%", "a b%")]
)
def test_a_name_is_normal_inside_its_run(name: str, normal: str) -> None:
    assert files.normal_name(name) == normal


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "/a", "C:\\a", "a/../../b", "a\x00", "x" * 1025])
def test_a_name_that_leaves_its_run_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="not a usable file name"):
        files.normal_name(name)


def test_files_are_announced_once_listed_and_deleted(store: Store) -> None:
    with store.write() as db:
        project = projects.ensure(db, "local", "p").id
        run, other = (runs.create(db, project, name, "running") for name in "rs")
        row = files.announce(db, run, "media/b_1.png")
        assert files.announce(db, run, "./media/b_1.png").id == row.id
        files.announce(db, run, "a.txt")
        files.announce(db, other, "a.txt")
        assert [file.name for file in files.listing(db, run)] == ["a.txt", "media/b_1.png"]
        assert [file.name for file in files.listing(db, run, names=["./a.txt", "none"])] == ["a.txt"]
        assert [file.name for file in files.listing(db, run, pattern="media/%")] == ["media/b_1.png"]
        assert files.listing(db, run, pattern="media/b\\%") == []
        assert files.find(db, run, "a.txt") is None  # nothing has arrived
        File.delete(db, row.id)
        assert [file.name for file in files.listing(db, run)] == ["a.txt"]
        assert len(files.listing(db, other)) == 1
