"""A signal to stop waits for the end of the step, a second one does not, and nothing changes elsewhere."""

import signal
import threading

import pytest

from benchmark.sae.interruption import SIGNALS, deferred_interruption


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_and_takes_effect_at_the_end(number):
    seen, done = [], []
    before = signal.signal(number, lambda *_: seen.append(number))
    try:
        with deferred_interruption() as found:
            signal.raise_signal(number)
            done.append(found.came and not seen)
        assert done == [True] and seen == [number]
    finally:
        signal.signal(number, before)


def test_a_second_signal_acts_at_once():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt), deferred_interruption() as found:
            signal.raise_signal(signal.SIGINT)
            assert found.came
            signal.raise_signal(signal.SIGINT)
            pytest.fail("the second one was deferred too")
    finally:
        signal.signal(signal.SIGINT, before)


def test_without_a_signal_the_handlers_are_those_of_before():
    before = [signal.getsignal(number) for number in SIGNALS]
    with deferred_interruption() as found:
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert not found.came and [signal.getsignal(number) for number in SIGNALS] == before


def test_handlers_come_back_after_an_error_too():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), deferred_interruption():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_nothing_is_changed():
    found = []

    def work():
        with deferred_interruption() as interruption:
            found.append((signal.getsignal(signal.SIGINT), interruption.came))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(signal.getsignal(signal.SIGINT), False)]
