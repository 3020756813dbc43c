"""Which errors mean that the client's service is gone; what a run reports to W&B is read back in test_train.py."""

from typing import Any

import pytest
import wandb
from wandb.sdk.mailbox import MailboxClosedError

from mnist_sweep.tracking import Tracker, _service_lost


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (BrokenPipeError(), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (MailboxClosedError(), True),
        (wandb.errors.CommError("no"), True),
        (wandb.errors.UsageError("no"), False),
        (TypeError("no"), False),
        (KeyError("no"), False),
        (AssertionError(), False),
    ],
    ids=repr,
)
def test_a_programming_error_is_not_a_lost_service(error: Exception, lost: bool) -> None:
    assert _service_lost(error) is lost


def test_a_programming_error_is_raised_and_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    class Run:
        def finish(self, **options: Any) -> None:
            raise TypeError("a bug")

    tracker = Tracker.__new__(Tracker)
    tracker.run = Run()  # type: ignore[assignment]
    monkeypatch.setattr(Tracker, "_reconnect", lambda self: pytest.fail("reconnected"))
    with pytest.raises(TypeError, match="a bug"):
        tracker.finish()
