"""A run ends where it is asked to: the first signal is noted, the second is nobody's to keep."""

import os
import signal

import pytest

from train.launch import noticed_signals

EVERY = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def met():
    """The signals that came to the handlers of before."""
    met = []
    before = {each: signal.signal(each, lambda number, _: met.append(number)) for each in EVERY}
    yield met
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("first", EVERY)
@pytest.mark.parametrize("second", EVERY)
def test_the_first_signal_is_noted_and_the_second_goes_its_way(met, capsys, first, second):
    with noticed_signals() as received:
        os.kill(os.getpid(), first)
        assert (received, met) == ([first], [])
        os.kill(os.getpid(), second)
        assert (received, met) == ([first], [second])
    assert capsys.readouterr().out == "stopping after this step\n"


@pytest.mark.parametrize("fault", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_handlers_are_those_of_before_however_it_ends(met, fault):
    before = [signal.getsignal(each) for each in EVERY]
    with pytest.raises(fault), noticed_signals() as received:
        raise fault
    assert [signal.getsignal(each) for each in EVERY] == before
    os.kill(os.getpid(), signal.SIGTERM)
    assert (received, met) == ([], [signal.SIGTERM])


def test_what_is_ignored_stays_ignored_and_leaves_the_others_noted(met):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with noticed_signals() as received:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert (received, met) == ([signal.SIGTERM], [])
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
