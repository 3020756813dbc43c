import os

import pytest

from mnist_sweep.environment import environment


def test_what_is_set_inside_is_gone_outside_and_the_rest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KNOWN", "before")
    monkeypatch.delenv("UNKNOWN", raising=False)
    monkeypatch.setenv("OTHER", "before")
    monkeypatch.setenv("UNWANTED", "before")
    with environment({"KNOWN": "inside", "UNKNOWN": "inside", "UNWANTED": None}):
        assert "UNWANTED" not in os.environ
        assert (os.environ["KNOWN"], os.environ["UNKNOWN"]) == ("inside", "inside")
        os.environ["OTHER"] = "set meanwhile"
        del os.environ["KNOWN"]
    assert (os.environ["KNOWN"], os.environ["UNWANTED"]) == ("before", "before")
    assert "UNKNOWN" not in os.environ
    assert os.environ["OTHER"] == "set meanwhile"
