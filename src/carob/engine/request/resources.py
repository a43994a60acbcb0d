"""What an app, or a whole pod, may take of the machine: a value, checked when made."""

from __future__ import annotations

import os

from carob.engine.request import inputs
from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

LEAST_MEMORY_BYTES = 6 << 20
"""Less is not enough for the OCI runtime to start anything."""
UNLIMITED = -1
_MOST_BYTES = (1 << 63) - 4096
_PERIOD_US = 100_000
_RATES = ("rbps", "wbps", "riops", "wiops")
_UNITS = {"KB": 10, "MB": 20, "GB": 30}


class Resources:
    """Limits and shares of an app or a pod. What is not given is not limited, but for ``pids``.

    - ``cpus``: processor time in processors, such as 1.5; or ``cpu_quota_us`` in each ``cpu_period_us``
      (by default 100,000). ``cpu_shares``: its part where processors are short, 2 to 262144; 1024 is usual.
    - ``cpuset_cpus``, ``cpuset_mems``: processors and memory nodes that it may use, such as ``"0-2,4"``.
    - ``memory_bytes``: what it may have, at least 6 MiB. ``memory_swap_bytes``: memory and swap together, by
      default twice the memory where the kernel counts swap; -1 for all swap there is.
      ``memory_reservation_bytes``: what it is left with where memory is short.
    - ``pids``: processes and threads; where it is not given an app has 2048.
    - ``io_weight``: its part where a disk is busy, 10 to 1000. ``io_max``: for a device's path, rates:
      ``rbps``, ``wbps`` (bytes a second), ``riops``, ``wiops`` (operations a second).
    - ``hugepages``: bytes by size of page (``"2MB"``).

    -1 for a quota, for memory or for ``pids`` takes a limit away that there is (``PodHandle.update``).
    """

    __slots__ = (
        "cpu_period_us", "cpu_quota_us", "cpu_shares", "cpuset_cpus", "cpuset_mems", "hugepages", "io_max",
        "io_weight", "memory_bytes", "memory_reservation_bytes", "memory_swap_bytes", "pids",
    )  # fmt: skip

    def __init__(
        self,
        *,
        cpus: float | None = None,
        cpu_quota_us: int | None = None,
        cpu_period_us: int | None = None,
        cpu_shares: int | None = None,
        cpuset_cpus: str = "",
        cpuset_mems: str = "",
        memory_bytes: int | None = None,
        memory_swap_bytes: int | None = None,
        memory_reservation_bytes: int | None = None,
        pids: int | None = None,
        io_weight: int | None = None,
        io_max: Mapping[str, Mapping[str, int]] | None = None,
        hugepages: Mapping[str, int] | None = None,
    ) -> None:
        if cpus is not None:
            if cpu_quota_us is not None or cpu_period_us is not None:
                raise InvalidInput("cpus says the same as a quota and a period: give one of the two")
            cpu_quota_us, cpu_period_us = _quota_us(cpus), _PERIOD_US
        self.cpu_quota_us = _whole(cpu_quota_us, "cpu_quota_us", 1000, 1 << 42, unlimited=True)
        self.cpu_period_us = _whole(cpu_period_us, "cpu_period_us", 1000, 1_000_000)
        self.cpu_shares = _whole(cpu_shares, "cpu_shares", 2, 262144)
        self.cpuset_cpus = _cpuset(cpuset_cpus, "cpuset_cpus")
        self.cpuset_mems = _cpuset(cpuset_mems, "cpuset_mems")
        self.memory_bytes = _whole(
            memory_bytes, "memory_bytes", LEAST_MEMORY_BYTES, _MOST_BYTES, unlimited=True
        )
        self.memory_swap_bytes = _whole(
            memory_swap_bytes, "memory_swap_bytes", 0, _MOST_BYTES, unlimited=True
        )
        self.memory_reservation_bytes = _whole(
            memory_reservation_bytes, "memory_reservation_bytes", 0, _MOST_BYTES, unlimited=True
        )
        self._check_memory()
        self.pids = _whole(pids, "pids", 1, 1 << 22, unlimited=True)
        self.io_weight = _whole(io_weight, "io_weight", 10, 1000)
        self.io_max = _rates(io_max)
        self.hugepages = _hugepages(hugepages)

    def _check_memory(self) -> None:
        memory, swap, reserved = self.memory_bytes, self.memory_swap_bytes, self.memory_reservation_bytes
        if swap is not None and swap != UNLIMITED:
            if memory is None or memory == UNLIMITED:
                raise InvalidInput("memory_swap_bytes goes with memory_bytes", hint="it is both together")
            if swap < memory:
                raise InvalidInput(
                    f"memory_swap_bytes, {swap}, is less than the memory, {memory}",
                    hint="it is both together: as much as the memory means no swap",
                )
        if memory not in (None, UNLIMITED) and reserved is not None and reserved > (memory or 0):
            raise InvalidInput(f"memory_reservation_bytes, {reserved}, is more than the memory, {memory}")

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, name):
            raise AttributeError(f"a Resources does not change: {name}")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"Resources({', '.join(f'{name}={value!r}' for name, value in self.given().items())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resources) and self.given() == other.given()

    def __hash__(self) -> int:
        return hash(repr(self))

    def given(self) -> dict[str, Any]:
        """What is asked for, by argument: values of JSON. `cpus` is told as quota and period."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in found.items() if value not in (None, "", {})}

    @property
    def cpus(self) -> float | None:
        """Processor time in processors; ``None`` where it is not limited."""
        if self.cpu_quota_us is None or self.cpu_quota_us == UNLIMITED:
            return None
        return self.cpu_quota_us / (self.cpu_period_us or _PERIOD_US)


def check_within(app: str, inner: Resources, outer: Resources) -> None:
    """Raises ``InvalidInput`` for an app that is given more than its pod has, where kernels refuse that."""
    if inner.cpus is not None and outer.cpus is not None and inner.cpus > outer.cpus:
        raise InvalidInput(f"app {app} is given {inner.cpus:g} cpus, and its pod has {outer.cpus:g}")
    for name in ("cpuset_cpus", "cpuset_mems"):
        own, all_there_are = numbers(getattr(inner, name)), numbers(getattr(outer, name))
        if all_there_are and not own <= all_there_are:
            raise InvalidInput(f"app {app}: {name} has some that its pod has not got")


def numbers(text: str) -> set[int]:
    """Those in a list such as ``0-2,4`` (cpuset(7), "List format")."""
    found: set[int] = set()
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        found.update(range(int(first), int(last if dash else first) + 1))
    return found


def _whole(value: Any, what: str, least: int, most: int, *, unlimited: bool = False) -> int | None:
    if value is None or (unlimited and value == UNLIMITED and not isinstance(value, bool)):
        return None if value is None else UNLIMITED
    return inputs.whole(value, what, least, most)


def _quota_us(cpus: Any) -> int:
    if not isinstance(cpus, int | float) or isinstance(cpus, bool):
        raise InvalidInput(f"cpus is a number of processors, not {cpus!r}")
    if cpus == UNLIMITED:
        return UNLIMITED
    if not 0.01 <= cpus <= 8192:
        raise InvalidInput(f"cpus is from 0.01 to 8192, not {cpus!r}")
    return round(cpus * _PERIOD_US)


def _cpuset(value: Any, what: str) -> str:
    text = inputs.text(value, what)
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        ends = [first, last] if dash else [first]
        if not all(one.isdecimal() and one.isascii() and len(one) <= 5 for one in ends) or (
            dash and int(first) > int(last)
        ):
            raise InvalidInput(f"{what} is a list of numbers and ranges, not {text!r}", hint="such as 0-2,4")
    return text


def _rates(value: Any) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for device, rates in _mapping(value, "io_max", '{"/dev/sda": {"wbps": 10 << 20}}'):
        path = inputs.absolute_path(device, "a device in io_max")
        checked: dict[str, int] = {}
        for name, rate in _mapping(rates, f"io_max of {path}", '{"wbps": 10 << 20}'):
            if name not in _RATES:
                raise InvalidInput(f"io_max: there is no rate {name!r}", hint=f"one of {', '.join(_RATES)}")
            checked[name] = inputs.whole(rate, f"{name} of {path}", 1, _MOST_BYTES)
        if not checked:
            raise InvalidInput(f"io_max: there is no rate for {path}")
        found[os.path.normpath(path)] = checked
    return found


def _hugepages(value: Any) -> dict[str, int]:
    found = {}
    for size, limit in _mapping(value, "hugepages", '{"2MB": 64 << 20}'):
        unit = size[-2:] if isinstance(size, str) else ""
        if unit not in _UNITS or not size[:-2].isdecimal() or not size.isascii():
            raise InvalidInput(f"hugepages: {size!r} is no size of pages", hint="such as 2MB or 1GB")
        page = int(size[:-2]) << _UNITS[unit]
        found[size] = inputs.whole(limit, f"hugepages of {size}", 0, _MOST_BYTES)
        if found[size] % page:
            raise InvalidInput(f"hugepages: {found[size]} bytes are no whole number of pages of {size}")
    return found


def _mapping(value: Any, what: str, hint: str) -> list[tuple[Any, Any]]:
    if value is None:
        return []
    if not hasattr(value, "items"):
        raise InvalidInput(f"{what} is a mapping, not {value!r}", hint=hint)
    return list(value.items())
