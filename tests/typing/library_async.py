"""Every verb of the library's coroutines, as a program uses it. Not run: the type checkers read it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any, assert_type

from carob import (
    App,
    AppEnd,
    CarobError,
    Completed,
    Event,
    NetworkConfiguration,
    PodEnd,
    PodStats,
    PodStatus,
    ProcessInfo,
    Resources,
    State,
)
from carob.aio import Engine, Execution, Images, Logs, PodHandle, PortForward, Volumes
from carob.engine.request.pod import PodRequest
from carob.engine.sandbox.addition import Addition


async def engines() -> list[PodEnd]:
    """Many pods at once, each tied to its task."""

    async def one(engine: Engine, number: int) -> PodEnd:
        async with await engine.run(App("busybox", ["sh", "-c", f"exit {number}"])) as pod:
            assert_type(pod, PodHandle)
            return await pod.wait(timeout_s=10)

    async with Engine("/srv/pods", python="/usr/bin/python3", max_threads=4) as engine:
        assert_type(engine.data_dir, str)
        return await asyncio.gather(*(one(engine, number) for number in range(10)))


async def images(engine: Engine) -> str:
    """The local store."""
    assert_type(engine.images, Images)
    image = await engine.images.import_path(Path("rootfs.tar"), name="busybox")
    assert_type((await engine.images.resolve("busybox")).image_id, str)
    for one in await engine.images.list():
        assert_type(one.image_id, str)
    await engine.images.remove("busybox")
    await engine.images.gc()
    return image.image_id


async def volumes(engine: Engine) -> str:
    """Named volumes."""
    assert_type(engine.volumes, Volumes)
    made = await engine.volumes.create("db", labels={"team": "web"})
    for one in await engine.volumes.list():
        assert_type(one.labels, dict[str, str])
    assert_type((await engine.volumes.gc(unused=True)).problems, list[str])
    await engine.volumes.remove("db")
    return (await engine.volumes.get(made.name)).path


async def transfers(engine: Engine, pod: PodHandle) -> str:
    """Images in and out."""
    image = await engine.images.fetch(
        "docker://example.org/app:1", name="app", pull="missing", platform="linux/arm64", insecure="none"
    )
    assert_type(image.image_id, str)
    for one in await engine.images.load(Path("images.tar")):
        assert_type(one.name, str)
    await engine.images.save(["app"], "app.tar", format="docker-archive")
    assert_type(await engine.images.push("app", "docker://example.org/app:2"), str)
    await engine.images.export("app", "rootfs.tar")
    await engine.images.extract("app", Path("directory"), rootfs_only=False)
    assert_type((await engine.images.tag("app", "other:2")).name, str)
    assert_type(await engine.images.inspect("app"), dict[str, Any])
    for step in await engine.images.history("app"):
        assert_type(step.created_by, str)
    assert_type(await engine.images.cat_manifest("app"), bytes)
    for broken in (await engine.images.verify(quarantine=False)).broken:
        assert_type(broken.problem, str)
    assert_type((await engine.images.usage()).total_bytes, int)
    await pod.export("app.tar", app="app")
    return (await pod.commit("made:1")).image_id


async def prepares(engine: Engine, request: PodRequest) -> None:
    """A pod prepared now and run later."""
    pod = await engine.prepare(App("busybox"), name="later", network="none", grace_s=1)
    assert_type(await engine.prepare_request(request), PodHandle)
    assert_type(await engine.run_request(request, tied=True, timeout_s=10), PodHandle)
    await pod.run(tied=True, timeout_s=10)
    await pod.wait_ready(timeout_s=5)
    await engine.close()


async def looks(engine: Engine, uuid: str) -> list[str]:
    """What is known of pods."""
    pod = await engine.get(uuid)
    assert_type(engine.handle(uuid), PodHandle)
    assert_type(pod.uuid, str)
    assert_type(await pod.status(), PodStatus)
    assert_type(await pod.manifest(), bytes)
    assert_type(await engine.list(), list[PodStatus])
    return [summary.uuid for summary in await engine.summaries() if summary.state is State.RUNNING]


async def logs(pod: PodHandle) -> str:
    """Output: all of it, some of it, or as it comes."""
    written = pod.logs("worker", tail=10, since_ns=0)
    assert_type(written, Logs)
    assert_type(await written.bytes(), bytes)
    for entry in await written.entries(["stderr"]):
        assert_type(entry.time_ns, int)
    async with aclosing(pod.follow_logs("worker", tail=0)) as entries:
        async for app, entry in entries:
            assert_type(app, str)
            assert_type(entry.data, bytes)
            break
    async for batch in pod.log_batches():
        assert_type(batch[0][1].output, bytes)
    return await pod.logs().text(encoding="latin-1")


async def apps_that_come_and_go(engine: Engine) -> str:
    """A mutable pod."""
    async with await engine.sandbox(name="box", labels={"Any/key": "any value"}) as pod:
        name = await pod.add(App("busybox", ["httpd", "-f"], name="web"), pid="pod")
        await pod.start_app(name)
        await pod.reopen_log(name)
        await pod.stop_app(name, grace_s=1.5)
        await pod.remove_app(name, force=True)
        return await pod.add_request(Addition(App("busybox"), user_annotations={"By": "me"}))


async def a_day(engine: Engine, pod: PodHandle) -> list[str]:
    """Files in and out, what runs and what it takes, what happened, ports."""
    await pod.copy_in("config.toml", "/etc/app.toml", app="worker")
    await pod.update(Resources(pids=100), app="worker")
    await pod.copy_out("/var/lib/app/.", Path("out"))
    assert_type(await pod.top(), list[ProcessInfo])
    assert_type(await pod.stats(), PodStats)
    async with aclosing(pod.follow_stats(interval_s=0.5)) as looks:
        async for stats in looks:
            assert_type(stats.cpu_percent, dict[str, float])
    assert_type(await engine.stats(), list[PodStats])
    async with aclosing(engine.events()) as events:
        async for event in events:
            assert_type(event, Event)
    assert_type(await pod.timeline(), list[Event])
    assert_type(await pod.check_networks(), dict[str, CarobError])
    assert_type(await engine.networks(print), tuple[NetworkConfiguration, ...])
    async with await pod.port_forward("8080:80") as forward:
        assert_type(forward, PortForward)
        await forward.close()
    return [check.verdict for check in await engine.doctor()]


async def execs(pod: PodHandle) -> int:
    """More processes: all at once, or by their streams."""
    done = await pod.exec(["cat"], app="worker", input=b"in", check=True, timeout_s=10)
    assert_type(done, Completed)
    async with await pod.start(["sh"], env={"A": "b"}, cwd="/", user=(0, 0)) as running:
        assert_type(running, Execution)
        assert_type(running.args, tuple[str, ...])
        await running.write(b"echo hi\n")
        running.close_stdin()
        running.resize(24, 80)
        assert_type(await running.stdout.readline(), bytes)
        if running.stderr is not None:
            assert_type(await running.stderr.read(), bytes)
        assert_type(await running.wait(), AppEnd)
    running = await pod.start(["cat"], tty=False)
    assert_type(await running.communicate(b"in", timeout_s=1.5), tuple[bytes, bytes])
    running.close()
    return done.returncode


async def stops(engine: Engine, pod: PodHandle) -> list[str]:
    """Ways to the end."""
    await pod.signal(1, app="worker")
    await pod.pause(app="worker")
    await pod.resume()
    await pod.restart(app="worker", grace_s=1)
    assert "worker" in await pod.input_modes()
    async with await pod.attach(app="worker") as attached:
        await attached.write(b"line\n")
        attached.resize((24, 80))
    async with asyncio.timeout(20):
        await pod.stop(grace_s=1, timeout_s=10)
    await pod.kill()
    await pod.remove(force=True)
    return (await engine.gc(grace_s=0, expire_prepared_s=3600, mark_only=True)).problems
