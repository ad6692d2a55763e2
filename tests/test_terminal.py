import io
import logging
import os
import signal
import sys
import threading

import pytest

from deblur.terminal import Formatter, Terminated, allow_any_name, printable, raising_signals


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Straße 😀 写真.jpg", "Straße 😀 写真.jpg"),
        ("a\nfailed: all", r"a\nfailed: all"),
        ("\x1b[31mred\r\x9b0m\x7f", r"\x1b[31mred\r\x9b0m\x7f"),
        (os.fsdecode(b"bad\xff.jpg"), r"bad\xff.jpg"),
        ("gnp\u202egpj\u2066", r"gnp\u202egpj\u2066"),
        ("line\u2028\u2029\x85", r"line\u2028\u2029\x85"),
        ("\ud800", r"\ud800"),
    ],
)
def test_a_name_cannot_forge_lines_colours_or_directions(name: str, shown: str) -> None:
    assert printable(name) == shown


def test_a_log_has_lines_and_no_colours() -> None:
    record = logging.makeLogRecord({"msg": "a table\n%s", "args": ("\x1b[31m\udcff ä",)})
    assert Formatter("%(message)s").format(record) == "a table\n" + r"\x1b[31m\xff ä"


def test_streams_print_what_their_encoding_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "cp1252"))
    allow_any_name()
    print("ä→\udcff", end="", flush=True)
    assert written.getvalue() == b"\xe4" + rb"\u2192\udcff"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signals_are_raised_as_ctrl_c_is_and_once(
    name: str, request: pytest.FixtureRequest
) -> None:
    number = getattr(signal, name)
    found = signal.signal(number, signal.SIG_DFL)  # under nohup SIGHUP is ignored
    request.addfinalizer(lambda: signal.signal(number, found))
    with pytest.raises(KeyboardInterrupt) as caught, raising_signals():
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)  # a group gets it twice, while it tidies up
    assert isinstance(caught.value, Terminated) and caught.value.status == 128 + number
    assert str(caught.value) == name
    assert signal.getsignal(number) is signal.SIG_DFL


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with raising_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_get_no_signals() -> None:
    entered = []

    def enter() -> None:
        with raising_signals():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered
