"""A missing Slurm is reported in one line. `make cluster-test` tests an installed one."""

import pytest

from scripts import slurm


def test_a_missing_slurm_is_reported_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slurm, "PROGRAMS", ("slurmctld-of-nobody",))
    assert slurm.missing() == slurm.MISSING
    assert slurm.main([]) == 1
    assert capsys.readouterr().err == f"error: {slurm.MISSING}\n"


def test_free_ports_are_different() -> None:
    assert len(set(slurm.free_ports(20))) == 20
