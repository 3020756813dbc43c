"""Contents on disk."""

from pathlib import Path

from mnist_sweep.server.store import Store


def test_contents_nobody_names_are_removed_at_the_next_start(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.blobs.receive() as upload:
        upload.write(b"orphan")
        blob = upload.keep()
    half = store.blobs.receive()
    half.write(b"half")
    store.close()
    assert store.blobs.path(blob.key).read_bytes() == b"orphan"
    again = Store(tmp_path)
    assert not again.blobs.path(blob.key).exists()
    assert list((tmp_path / "files" / "incoming").iterdir()) == []
    again.close()
