from __future__ import annotations

import pytest

from mnist_sweep import cluster
from mnist_sweep.agents import _share


def test_agents_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cluster, "cores", lambda: 8)
    assert [_share(1, agents)["OMP_NUM_THREADS"] for agents in (1, 3, 8, 20)] == ["8", "2", "1", "1"]


def test_threads_that_were_set_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two `mnist-sweep agent` started apart would else take two threads each on two cores, and spin."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert _share(1, 1)["OMP_NUM_THREADS"] == "1"
