"""Pods by coroutines."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any

import pytest

from carob import App, Completed, Exited, Signaled, State, aio
from carob import Engine as BlockingEngine
from carob.errors import AppStartFailed, CommandFailed, Conflict, InvalidInput, NotFound, TimedOut
from tests.leaks import descriptors
from tests.root import host_view

SOON_S = 60
FOREVER = ["sleep", "1000"]

Launcher = tuple[str, ...]
Test = Callable[[aio.Engine], Coroutine[Any, Any, None]]


def sh(script: str, **options: Any) -> App:
    return App("busybox", ["sh", "-c", script], **options)


def on_loop(test: Test) -> Callable[[BlockingEngine, Launcher], None]:
    """A test that is a coroutine of an engine, which leaves no descriptor, task or thread."""

    @functools.wraps(test)
    def run(engine: BlockingEngine, supervisor_launcher: Launcher) -> None:
        async def main() -> None:
            before = descriptors()
            async with aio.Engine(engine.data_dir, launcher=supervisor_launcher) as mine:
                await test(mine)
                assert len(asyncio.all_tasks()) == 1
            assert descriptors() == before

        asyncio.run(main(), debug=True)

    del run.__wrapped__  # its arguments are the fixtures
    return run


async def eventually(what: str, look: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(SOON_S):
        while not await look():
            await asyncio.sleep(0.005)


# --- every verb -----------------------------------------------------------------------------------


@on_loop
async def test_run_wait_and_look(engine: aio.Engine) -> None:
    pod = await engine.run(sh("echo hi; echo oh >&2; exit 3"), name="mine", tied=True)
    async with pod:
        end = await pod.wait(timeout_s=SOON_S)
        assert end.apps == {"busybox": Exited(3)}
        assert await pod.logs().text(["stdout"]) == "hi\n"
        assert await pod.logs("busybox").bytes(["stderr"]) == b"oh\n"
        assert sorted(entry.data for entry in await pod.logs().entries()) == [b"hi", b"oh"]
        status = await pod.status()
        assert (status.name, status.state) == ("mine", State.EXITED)
        assert [one.uuid for one in await engine.list()] == [pod.uuid]
        assert [one.name for one in await engine.summaries()] == ["mine"]
        assert (await engine.get(pod.uuid[:8])).uuid == pod.uuid
        assert b'"PodManifest"' in await pod.manifest()
    assert await engine.list() == []
    assert (await pod.wait()).apps == end.apps  # the record outlives the pod
    with pytest.raises(NotFound):
        await pod.status()


@on_loop
async def test_prepared_pod_runs_later(engine: aio.Engine) -> None:
    pod = await engine.prepare(sh("exit 4"))
    assert (await pod.status()).state is State.PREPARED
    with pytest.raises(Conflict):
        await pod.stop()
    with pytest.raises(TimedOut):
        await pod.wait_ready(timeout_s=0.01)
    ready = asyncio.create_task(pod.wait_ready(timeout_s=SOON_S))
    await pod.run(timeout_s=SOON_S)
    await ready
    assert (await pod.wait(timeout_s=SOON_S)).apps == {"busybox": Exited(4)}
    with pytest.raises(Conflict):
        await pod.run()
    assert (await engine.gc(grace_s=0)).deleted == [pod.uuid]


@on_loop
async def test_errors_are_those_of_the_blocking_engine(engine: aio.Engine) -> None:
    with pytest.raises(InvalidInput, match="apps are made with App, not 'busybox'"):
        await engine.run("busybox")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="no host name"):
        await engine.prepare(App("busybox"), hostname="no good")
    with pytest.raises(AppStartFailed) as failed:
        await engine.run(App("busybox", ["no-such-program"]), name="kept")
    pod = await engine.get(failed.value.uuid)
    assert (await pod.status()).name == "kept"
    with pytest.raises(NotFound) as caught:
        await pod.logs("nobody").text()
    assert caught.value.uuid == pod.uuid
    for wait in (pod.wait, pod.wait_ready):
        with pytest.raises(InvalidInput, match="a timeout is a number of seconds or None"):
            await wait(timeout_s="1")  # type: ignore[arg-type]
    await pod.wait(timeout_s=SOON_S)
    await pod.remove()
    with pytest.raises(NotFound) as gone:
        await pod.wait_ready()
    assert gone.value.uuid == pod.uuid
    with pytest.raises(InvalidInput, match="max_threads is from 1"):
        aio.Engine(engine.data_dir, max_threads=0)


@on_loop
async def test_images(engine: aio.Engine) -> None:
    image = await engine.images.resolve("busybox")
    assert [one.image_id for one in await engine.images.list()] == [image.image_id]
    with pytest.raises(NotFound):
        await engine.run(App("nothing"))
    pod = await engine.prepare(App("busybox", FOREVER))
    with pytest.raises(Conflict):
        await engine.images.remove("busybox")
    await pod.remove()
    await engine.images.remove("busybox")
    assert await engine.images.list() == []
    await engine.images.gc()


@on_loop
async def test_signal_stop_kill_and_remove(engine: aio.Engine) -> None:
    pods = [
        await engine.run(sh(script, name="app"))
        for script in (
            "trap 'exit 5' USR1; while :; do sleep 0.01; done",
            "trap 'exit 6' TERM; while :; do sleep 0.01; done",
            "trap : TERM; while :; do sleep 0.01; done",
            "while :; do sleep 0.01; done",
        )
    ]
    usr1, term, deaf, killed = pods
    for pod in pods:  # the trap is set once something is run
        await eventually("sleeps", lambda pod=pod: busy(pod))  # type: ignore[misc]
    await usr1.signal(10)
    assert (await usr1.wait(timeout_s=SOON_S)).apps == {"app": Exited(5)}
    await asyncio.gather(term.stop(), deaf.stop(grace_s=0.05), killed.kill())
    assert (await term.wait(timeout_s=0)).apps == {"app": Exited(6)}
    assert (await deaf.wait(timeout_s=0)).apps == {"app": Signaled(9)}
    assert (await killed.status()).state is State.EXITED
    await term.stop()  # an ended pod is fine
    await asyncio.gather(*(pod.remove() for pod in pods))
    assert await engine.list() == []
    await term.remove()


async def busy(pod: aio.PodHandle) -> bool:
    return b"sleep" in (await pod.exec(["ps"])).stdout


@on_loop
async def test_remove_spares_a_running_pod_unless_forced(engine: aio.Engine) -> None:
    pod = await engine.run(App("busybox", FOREVER))
    with pytest.raises(Conflict):
        await pod.remove()
    await pod.remove(force=True)
    host_view.nothing_left(engine.data_dir, pod.uuid)


# --- more processes -------------------------------------------------------------------------------


@on_loop
async def test_exec_behaves_like_subprocess(engine: aio.Engine) -> None:
    async with await engine.run(App("busybox", FOREVER)) as pod:
        done = await pod.exec(["sh", "-c", "cat; echo oh >&2; exit 4"], input="in", text=True)
        assert (done.stdout, done.stderr, done.returncode) == ("in", "oh\n", 4)
        with pytest.raises(CommandFailed, match="status 4") as failed:
            await pod.exec(["sh", "-c", "echo why >&2; exit 4"], check=True)
        assert failed.value.stderr == "why\n"
        with pytest.raises(CommandFailed) as missing:
            await pod.exec(["nonsense"])
        assert missing.value.status == 127
        with pytest.raises(TimedOut):
            await pod.exec(["yes"], timeout_s=0.1)
        with pytest.raises(InvalidInput):
            await pod.exec("true")
        much = bytes(range(256)) * 20_000
        assert (await pod.exec(["cat"], input=much)).stdout == much
        assert (await pod.exec(["true"], input=much)).returncode == 0  # it reads nothing
        daemon = await pod.exec(["sh", "-c", "sleep 1000 & echo started"], timeout_s=SOON_S)
        assert daemon.stdout == b"started\n"


@on_loop
async def test_streams_of_a_process(engine: aio.Engine) -> None:
    async with await engine.run(App("busybox", FOREVER)) as pod:
        async with await pod.start(["sh", "-c", "while read a; do echo got $a; done; exit 9"]) as running:
            for word in (b"one", b"two"):
                await running.write(word + b"\n")
                assert await running.stdout.readline() == b"got " + word + b"\n"
            running.close_stdin()
            with pytest.raises(InvalidInput):
                await running.write(b"late")
            assert await running.wait() == Exited(9)
            assert await running.stdout.read() == b""
        async with await pod.start(["sh", "-c", "stty size; tty; exit 8"], tty=True) as running:
            assert running.stderr is None
            assert b"/dev/pts/" in await running.stdout.read()
            assert await running.wait() == Exited(8)
        async with await pod.start(["true"]) as running:
            await running.wait()
            with pytest.raises(BrokenPipeError):
                await running.write(b"x" * 1_000_000)


@on_loop
async def test_reader_that_is_slow_stops_the_writer(engine: aio.Engine) -> None:
    async with await engine.run(App("busybox", FOREVER)) as pod:
        script = "i=0; while [ $i -lt 40 ]; do head -c 65536 /dev/zero; i=$((i+1)); done; echo done >&2"
        async with await pod.start(["sh", "-c", script]) as running:
            assert running.stderr is not None
            first = await running.stdout.readexactly(1)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await running.stderr.read()
            rest = await running.stdout.read()
            assert len(first + rest) == 40 * 65536
            assert await running.wait() == Exited(0)


@on_loop
async def test_end_of_the_pod_ends_its_processes(engine: aio.Engine) -> None:
    from carob.errors import Unavailable

    pod = await engine.run(App("busybox", FOREVER))
    one = asyncio.create_task(pod.exec(FOREVER))
    await eventually("it runs", lambda: two_sleep(pod))
    await pod.remove(force=True)
    with pytest.raises(Unavailable):
        await one
    assert isinstance(one.exception(), Unavailable)


async def two_sleep(pod: aio.PodHandle) -> bool:
    done = await pod.exec(["ps"], text=True)
    return str(done.stdout).count("sleep 1000") >= 2


# --- logs as they grow ----------------------------------------------------------------------------


@on_loop
async def test_logs_are_followed_to_the_end_of_the_pod(engine: aio.Engine) -> None:
    script = "for i in 1 2 3; do echo {0} $i; sleep 0.05; done"
    async with await engine.run(sh(script.format("a"), name="a"), sh(script.format("b"), name="b")) as pod:
        found: dict[str, list[bytes]] = {"a": [], "b": []}
        async for app, entry in pod.follow_logs():
            found[app].append(entry.data)
        assert found == {name: [f"{name} {i}".encode() for i in (1, 2, 3)] for name in "ab"}
        again = [len(batch) async for batch in pod.log_batches("a")]
        assert sum(again) == 3
        assert [entry.data async for _, entry in pod.follow_logs("b", tail=1)] == [b"b 3"]
        with pytest.raises(NotFound):
            await anext(pod.follow_logs("c"))


@on_loop
async def test_logs_up_to_now_without_following(engine: aio.Engine) -> None:
    async with await engine.run(sh("echo first; sleep 1000")) as pod:
        await eventually("it writes", lambda: pod.logs().bytes())
        batches = [batch async for batch in pod.log_batches(follow=False)]
        assert [entry.data for batch in batches for _, entry in batch] == [b"first"]


@on_loop
async def test_following_that_is_left_or_cancelled_leaves_nothing(engine: aio.Engine) -> None:
    async with await engine.run(sh("echo first; sleep 1000")) as pod:
        before = descriptors()
        async with aclosing(pod.follow_logs()) as entries:
            async for _, entry in entries:
                assert entry.data == b"first"
                break
        assert descriptors() == before

        async def follow() -> None:
            async with aclosing(pod.follow_logs()) as more:
                async for _ in more:
                    pass

        task = asyncio.create_task(follow())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert descriptors() == before


# --- many at once ---------------------------------------------------------------------------------


@on_loop
async def test_thousand_waits_for_one_pod(engine: aio.Engine) -> None:
    pod = await engine.run(App("busybox", FOREVER))
    before = descriptors()
    impatient = [asyncio.create_task(pod.wait(timeout_s=0.05)) for _ in range(500)]
    patient = [asyncio.create_task(pod.wait(timeout_s=SOON_S)) for _ in range(500)]
    ends = await asyncio.gather(*impatient, return_exceptions=True)
    assert {type(end) for end in ends} == {TimedOut}
    for task in patient[::2]:
        task.cancel()
    await asyncio.wait(patient[::2])
    assert not any(task.done() for task in patient[1::2])
    assert len(descriptors()) - len(before) <= 5
    await pod.signal(9)
    told = await asyncio.gather(*patient[1::2])
    assert {str(end.apps) for end in told} == {str({"busybox": Signaled(9)})}
    assert descriptors() == before
    await pod.remove()


@on_loop
async def test_many_pods_at_once(engine: aio.Engine) -> None:
    async def one(number: int) -> None:
        pod = await engine.run(sh(f"echo {number}; exit {number}"))
        async with pod:
            assert (await pod.wait(timeout_s=SOON_S)).apps == {"busybox": Exited(number)}
            assert await pod.logs().text() == f"{number}\n"

    await asyncio.gather(*(one(number) for number in range(30)))
    assert await engine.list() == []


def test_what_waits_takes_no_thread(engine: BlockingEngine, supervisor_launcher: Launcher) -> None:
    async def main() -> None:
        async with aio.Engine(engine.data_dir, launcher=supervisor_launcher, max_threads=1) as mine:
            deaf = await mine.run(sh("trap : TERM; echo; while :; do sleep 0.05; done"), grace_s=SOON_S)
            async for _ in deaf.follow_logs():
                break
            prepared = await mine.prepare(App("busybox", FOREVER))

            async def follow() -> None:
                async for _ in deaf.follow_logs():
                    pass

            tasks: list[asyncio.Task[Any]] = [
                asyncio.create_task(what)
                for what in (deaf.wait(), deaf.exec(FOREVER), deaf.stop(), prepared.wait_ready(), follow())
            ]
            await asyncio.sleep(0.2)
            assert [task for task in tasks if task.done()] == []
            assert (await asyncio.wait_for(deaf.status(), SOON_S)).state is State.RUNNING
            assert len((await deaf.exec(["ps"], timeout_s=SOON_S)).stdout) > 0
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await asyncio.gather(deaf.remove(force=True), prepared.remove())

    asyncio.run(main())


# --- cancellation ---------------------------------------------------------------------------------


@pytest.mark.slow
@on_loop
async def test_cancelled_run_leaves_no_pod_at_whatever_moment(engine: aio.Engine) -> None:
    outcomes = set()
    for tenth in range(0, 300, 15):
        before = descriptors()
        task = asyncio.create_task(engine.run(App("busybox", FOREVER)))
        await asyncio.sleep(tenth / 10_000)
        task.cancel()
        await asyncio.wait({task})
        if task.cancelled():
            assert host_view.pod_directories(engine.data_dir) == []
        else:
            await task.result().remove(force=True)
        assert descriptors() == before
        outcomes.add(task.cancelled())
    assert True in outcomes


@on_loop
async def test_cancelled_prepare_leaves_no_pod(engine: aio.Engine) -> None:
    for tenth in range(0, 100, 10):
        task = asyncio.create_task(engine.prepare(App("busybox", FOREVER)))
        await asyncio.sleep(tenth / 10_000)
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            await task.result().remove()
        assert host_view.pod_directories(engine.data_dir) == []


@on_loop
async def test_cancelled_block_removes_its_pod(engine: aio.Engine) -> None:
    inside = asyncio.Event()

    async def body() -> None:
        async with await engine.run(App("busybox", FOREVER)) as pod:
            inside.set()
            await pod.wait()

    task = asyncio.create_task(body())
    await inside.wait()
    task.cancel()
    for _ in range(3):  # also again and again, while the pod is being removed
        await asyncio.sleep(0.001)
        task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert host_view.pod_directories(engine.data_dir) == []


@on_loop
async def test_block_that_is_cancelled_before_it_is_entered_removes_its_pod(engine: aio.Engine) -> None:
    pod = await engine.run(App("busybox", FOREVER))
    task = asyncio.create_task(pod.__aenter__())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert host_view.pod_directories(engine.data_dir) == []


@on_loop
async def test_cancelled_stop_has_asked_all_the_same(engine: aio.Engine) -> None:
    async with await engine.run(sh("trap 'exit 7' TERM; echo; while :; do sleep 0.01; done")) as pod:
        async for _ in pod.follow_logs():
            break
        task = asyncio.create_task(pod.stop())
        await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait({task})
        if task.cancelled():
            assert (await pod.wait(timeout_s=SOON_S)).outcome == "stopped"


@on_loop
async def test_cancelled_exec_leaves_no_descriptor(engine: aio.Engine) -> None:
    async with await engine.run(App("busybox", FOREVER)) as pod:
        before = descriptors()
        for tenth in range(0, 400, 40):
            task: asyncio.Task[Completed] = asyncio.create_task(
                pod.exec(["sh", "-c", "cat; sleep 1000"], input=b"x" * 1_000_000)
            )
            await asyncio.sleep(tenth / 10_000)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            assert descriptors() == before


@on_loop
async def test_timeout_around_a_run_is_a_timeout(engine: aio.Engine) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await engine.run(App("busybox", FOREVER))
    assert host_view.pod_directories(engine.data_dir) == []


# --- steering apps --------------------------------------------------------------------------------


@on_loop
async def test_apps_are_paused_restarted_and_written_to(engine: aio.Engine) -> None:
    much = b"x" * 300_000  # more than a pipe holds, to a reader that is slow at first
    script = "sleep 0.2; wc -c; echo $$"
    async with await engine.run(sh(script, name="x", stdin="stream", restart="on-failure")) as pod:
        assert await pod.input_modes() == {"x": "stream"}
        await pod.pause()
        assert (await pod.status()).app("x").state == "paused"
        await pod.resume(app="x")
        await pod.restart(app="x", grace_s=0)
        assert (await pod.status()).app("x").restarts == 1
        async with await pod.attach(once=True) as attached:
            await attached.write(much)
        assert (await pod.wait(timeout_s=SOON_S)).apps == {"x": Exited(0)}
        assert (await pod.logs().text()).split()[0] == str(len(much))
        with pytest.raises(Conflict):
            await pod.attach(app="x")
