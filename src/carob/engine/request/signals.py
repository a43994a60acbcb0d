"""Signals by name and number, as images, people and other engines write them."""

from __future__ import annotations

from carob.engine.request.inputs import LAST_SIGNAL

NAMES = {
    "HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10,
    "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15, "STKFLT": 16, "CHLD": 17, "CONT": 18,
    "STOP": 19, "TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26,
    "PROF": 27, "WINCH": 28, "IO": 29, "PWR": 30, "SYS": 31,
}  # fmt: skip
_RTMIN = 34


def number(text: str) -> int | None:
    """The signal that ``TERM``, ``SIGTERM``, ``sigterm``, ``15`` or ``RTMIN+3`` means; ``None`` for none."""
    name = text.upper().removeprefix("SIG")
    found = NAMES.get(name)
    if found is None and name.startswith("RTMIN"):
        found = _RTMIN + (_digits(name.removeprefix("RTMIN").removeprefix("+")) or 0)
    elif found is None:
        found = _digits(text) or 0
    return found if 0 < found <= LAST_SIGNAL else None


def _digits(text: str) -> int | None:
    if not text.isdecimal() or not text.isascii() or len(text) > 3:
        return None
    return int(text)
