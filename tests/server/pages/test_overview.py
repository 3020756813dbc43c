import json
from typing import Any

import pytest

from mnist_sweep.server import records
from mnist_sweep.server.pages import overview
from mnist_sweep.server.store import Store, files, projects, runs, uploads
from mnist_sweep.server.store.rows import Run


def facts(store: Store, metadata: str) -> dict[str, Any]:
    """Return the facts of a run whose client uploaded this metadata."""
    with store.write() as db:
        project = projects.ensure(db, "local", "facts")
        key = runs.create(db, project.id, "r", "finished", program="/home/me/train.py", host="node1")
        file = files.announce(db, key, "wandb-metadata.json")
        with store.blobs.receive() as upload:
            upload.write(metadata.encode())
            blob = upload.keep()
        uploads.attach_blob(db, "file", file.id, uploads.identity(file), blob)
        row = Run.by_id(db, key)
        return {fact["label"]: fact["value"] for fact in overview.facts(store, db, row, records.record(db, row))}


def test_facts_of_the_clients_metadata(store: Store) -> None:
    given = {
        "python": "CPython 3.11.7", "os": "Linux", "codePath": "my train.py", "args": ["--lr", "0.1"],
        "gpu": "NVIDIA H200", "gpu_count": 2, "cpu": {"model": "EPYC"}, "cpu_count_logical": 1,
        "git": {"commit": "abc", "remote": "git@host:me/project"},
    }  # fmt: skip
    found = facts(store, json.dumps(given))
    assert found["command"] == "python 'my train.py' --lr 0.1"
    assert found["GPU"] == "2 × NVIDIA H200"
    assert found["CPU"] == "EPYC, 1 core"
    assert found["git commit"] == "abc"
    assert found["host"] == "node1, Linux"
    assert "tags" not in found


@pytest.mark.parametrize("metadata", ["", "[1]", "{", '{"args": 3, "git": [], "cpu": "x", "gpu": {}, "python": [1]}'])
def test_metadata_that_cannot_be_read_is_left_out(store: Store, metadata: str) -> None:
    found = facts(store, metadata)
    assert found["command"] == "python /home/me/train.py"
    assert found["host"] == "node1"
    assert "GPU" not in found
