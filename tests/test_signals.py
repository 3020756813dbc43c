import signal

import pytest

from mnist_sweep.signals import Signals, blocked


class Requeued(BaseException):
    pass


SIGNALS = Signals({signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: KeyboardInterrupt, signal.SIGUSR1: Requeued})


def test_signals_are_handled_only_inside() -> None:
    handled = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in handled]
    with SIGNALS.handled():
        for number in (signal.SIGINT, signal.SIGTERM):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
        with pytest.raises(Requeued):
            signal.raise_signal(signal.SIGUSR1)
    assert [signal.getsignal(number) for number in handled] == before


def test_a_signal_waits_until_the_client_has_done_its_work() -> None:
    done = []

    def work() -> None:
        with SIGNALS.deferred():
            signal.raise_signal(signal.SIGUSR1)
            done.append("logged")

    with SIGNALS.handled():
        with pytest.raises(Requeued):
            work()
        with SIGNALS.deferred():
            done.append("raised once")
    assert done == ["logged", "raised once"]


def test_a_signal_waits_for_the_outermost_work() -> None:
    done = []

    def work() -> None:
        with SIGNALS.deferred():
            with SIGNALS.deferred():
                signal.raise_signal(signal.SIGUSR1)
            done.append("held on")

    with SIGNALS.handled(), pytest.raises(Requeued):
        work()
    assert done == ["held on"]


def test_what_comes_before_a_process_handles_signals_strikes_once_it_does() -> None:
    inside = False
    with blocked():
        signal.raise_signal(signal.SIGUSR1)  # it would end this process
        with pytest.raises(Requeued), SIGNALS.handled():
            inside = True
    assert not inside
