"""Sessions of browsers."""

import time

import pytest

from mnist_sweep.server.store import Store, sessions


def test_a_session_lasts_until_it_expires_or_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.write() as db:
        sessions.begin(db, "short", 10)
        sessions.begin(db, "long", 1000)
        assert [sessions.lasts(db, digest) for digest in ("short", "long", "unknown")] == [True, True, False]
    start = time.time()
    monkeypatch.setattr(time, "time", lambda: start + 100)
    with store.write() as db:
        assert [sessions.lasts(db, digest) for digest in ("short", "long")] == [False, True]
        sessions.begin(db, "new", 10)
        assert db.execute("SELECT count(*) FROM sessions").fetchone()[0] == 2  # the expired one is gone
        sessions.end(db, "long")
        assert not sessions.lasts(db, "long")
