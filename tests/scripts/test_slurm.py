"""Where no Slurm can be started, that is said in a line; where one can, `make cluster-test` is its test."""

from __future__ import annotations

import pytest

from scripts import slurm


def test_where_there_is_no_slurm_a_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slurm, "PROGRAMS", ("slurmctld-of-nobody",))
    assert slurm.missing() == slurm.MISSING
    assert slurm.main([]) == 1
    assert capsys.readouterr().err == f"error: {slurm.MISSING}\n"


def test_every_port_is_another_one() -> None:
    assert len(set(slurm.free_ports(20))) == 20
