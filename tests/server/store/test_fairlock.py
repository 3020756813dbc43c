"""First come, first served."""

import threading
import time

from mnist_sweep.server.store.fairlock import FairLock


def queue(lock: FairLock, number: int, served: list[int]) -> threading.Thread:
    """A thread that waits for the lock; it is in the queue when this returns."""
    waiting = len(lock._waiting)

    def wait() -> None:
        with lock:
            served.append(number)

    thread = threading.Thread(target=wait)
    thread.start()
    while len(lock._waiting) == waiting:
        time.sleep(0.001)
    return thread


def test_those_who_wait_are_let_in_in_their_order() -> None:
    lock, served = FairLock(), list[int]()
    with lock:
        threads = [queue(lock, number, served) for number in range(20)]
    for thread in threads:
        thread.join()
    assert served == list(range(20))
    assert lock.acquire(timeout=0)


def test_who_gave_up_waiting_is_passed_over() -> None:
    lock, served = FairLock(), list[int]()
    with lock:
        impatient = threading.Thread(target=lambda: served.append(-1 if lock.acquire(timeout=0.01) else 0))
        impatient.start()
        impatient.join()
        patient = queue(lock, 1, served)
    patient.join()
    assert served == [0, 1]


def test_an_exception_lets_the_next_one_in() -> None:
    lock = FairLock()
    try:
        with lock:
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert lock.acquire(timeout=0)
