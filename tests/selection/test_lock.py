from pathlib import Path

import pytest

from mnist_sweep.errors import UserError
from mnist_sweep.selection.lock import exclusive_lock


def test_a_second_holder_is_refused_and_the_file_goes(tmp_path: Path) -> None:
    file = tmp_path / "one.lock"
    with exclusive_lock(file, UserError("busy")), pytest.raises(UserError, match="busy"):  # noqa: SIM117
        with exclusive_lock(file, UserError("busy")):
            pass
    assert not file.exists()
    with exclusive_lock(file, UserError("busy")):
        assert file.exists()
