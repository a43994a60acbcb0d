"""A name is one holder's at a time, whichever process it is of, and dies with it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from carob.errors import Unavailable
from carob.service.cri.reservations import Reservation, sweep

_HOLD = """
import asyncio, sys, time
from carob.service.cri.reservations import Reservation
async def main():
    async with Reservation(sys.argv[1], "a") as name:
        name.made("u" * 36)
        print("held", flush=True)
        time.sleep(100)
asyncio.run(main())
"""


def test_holders_take_turns_and_read_what_the_one_before_made(tmp_path: Path) -> None:
    held = 0

    async def hold(number: int) -> str:
        nonlocal held
        async with Reservation(str(tmp_path), "namespace", "name") as name:
            held += 1
            assert held == 1
            before = name.uuid
            await asyncio.sleep(0.001)
            name.made(f"{number:036}")
            held -= 1
            return before

    async def main() -> list[str]:
        return await asyncio.gather(*[hold(number) for number in range(10)])

    found = asyncio.run(main())
    assert found.count("") == 1
    assert len(set(found)) == 10


def test_a_name_that_was_freed_is_as_new_also_for_who_waits(tmp_path: Path) -> None:
    async def main() -> str:
        waiting = asyncio.Event()

        async def second() -> str:
            waiting.set()
            async with Reservation(str(tmp_path), "a") as name:
                return name.uuid

        async with Reservation(str(tmp_path), "a") as name:
            name.made("u" * 36)
            task = asyncio.create_task(second())
            await waiting.wait()
            await asyncio.sleep(0.05)
            name.free()
            name.free()
        return await task

    assert asyncio.run(main()) == ""


def test_names_are_apart_whatever_is_in_their_parts(tmp_path: Path) -> None:
    async def main() -> None:
        async with Reservation(str(tmp_path), "a", "bc"), Reservation(str(tmp_path), "ab", "c"):
            pass

    asyncio.run(asyncio.wait_for(main(), 10))
    assert len(os.listdir(tmp_path / "cri")) == 2


def test_a_holder_that_is_killed_leaves_its_hint_and_no_lock(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        async def waits() -> None:
            async with Reservation(str(tmp_path), "a"):
                pass

        with pytest.raises(TimeoutError):
            asyncio.run(asyncio.wait_for(waits(), 0.1))
        holder.kill()
        holder.wait()

    async def main() -> str:
        async with Reservation(str(tmp_path), "a") as name:
            return name.uuid

    assert asyncio.run(asyncio.wait_for(main(), 10)) == "u" * 36


def test_what_is_noted_of_pods_that_are_gone_is_swept_and_nothing_else(tmp_path: Path) -> None:
    uuid = "11111111-1111-4111-8111-111111111111"
    (tmp_path / "pods/prepare" / uuid).mkdir(parents=True)

    async def main() -> int:
        for part, noted in (("gone", "2" * 8 + uuid[8:]), ("there", uuid), ("odd", "x" * 36)):
            async with Reservation(str(tmp_path), part) as name:
                name.made(noted)
        async with Reservation(str(tmp_path), "held"):
            sweep(str(tmp_path))
            return len(os.listdir(tmp_path / "cri"))

    assert asyncio.run(main()) == 2
    sweep(str(tmp_path / "nowhere"))


def test_where_no_file_can_be_made_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "cri").write_text("no directory")

    async def main() -> None:
        async with Reservation(str(tmp_path), "a"):
            pass

    with pytest.raises(Unavailable, match="reserved"):
        asyncio.run(main())
