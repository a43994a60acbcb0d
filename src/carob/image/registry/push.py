"""An image to a registry: blobs at the same time, then the manifests below, the topmost document last.

So at no time a name on the registry leads to something that is not whole.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from carob.errors import InvalidInput
from carob.image.registry.upload import CHUNK_BYTES, Outcome, Upload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carob.image.registry.client import Registry
    from carob.image.sources.source import BlobReader
    from carob.spec.oci.descriptor import Descriptor

JOBS = 4


class BlobProgress:
    """One blob of a push, at one moment: ``digest``, ``size_bytes``, and ``done_bytes`` of them that the
    registry has. ``outcome`` is how it came to be there, ``None`` as long as it is sent.
    """

    __slots__ = ("digest", "done_bytes", "outcome", "size_bytes")

    def __init__(self, digest: str, size_bytes: int, done_bytes: int, outcome: Outcome | None) -> None:
        self.digest = digest
        self.size_bytes = size_bytes
        self.done_bytes = done_bytes
        self.outcome = outcome

    def __repr__(self) -> str:
        said = self.outcome.value if self.outcome is not None else "sending"
        return f"BlobProgress({self.digest[:19]} {said} {self.done_bytes}/{self.size_bytes})"


PushCallback = Callable[[BlobProgress], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What is pushed.

    - ``root``: the manifest or index, and its exact bytes.
    - ``children``: the manifests that an index names, each before whatever names it.
    - ``blobs``: configurations and layers, each once.
    """

    root: tuple[Descriptor, bytes]
    children: Sequence[tuple[Descriptor, bytes]] = ()
    blobs: Sequence[Descriptor] = ()


def push_image(
    registry: Registry,
    repository: str,
    tags: Sequence[str],
    outgoing: Outgoing,
    open_blob: Callable[[Descriptor, int], BlobReader],
    *,
    mount_from: Sequence[str] = (),
    progress: PushCallback | None = None,
    jobs: int = JOBS,
    chunk_bytes: int = CHUNK_BYTES,
) -> Mapping[str, Outcome]:
    """Pushes under each of ``tags``, or, without any, under its digest alone; by digest, how each blob came
    there.

    ``open_blob(descriptor, offset)`` opens a blob from a byte on, in any thread. ``progress`` is told, by one
    thread at a time, how many bytes of a blob the registry has got, and at last what became of it. The first
    error ends it all, and closes ``registry``; what is on the registry by then stays, and need not be sent
    again.
    """
    for reference in (*tags, outgoing.root[0].digest):
        registry.path(repository, "manifests", reference)  # before anything is sent
    if jobs < 1:
        raise InvalidInput(f"{jobs} jobs: at least 1 is needed")
    outcomes = _push_blobs(
        registry, repository, outgoing.blobs, open_blob, tuple(mount_from), progress, jobs, chunk_bytes
    )
    for descriptor, data in outgoing.children:
        registry.put_manifest(repository, descriptor.digest, descriptor.media_type, data)
    descriptor, data = outgoing.root
    for reference in tags or (descriptor.digest,):
        registry.put_manifest(repository, reference, descriptor.media_type, data)
    return outcomes


def _push_blobs(
    registry: Registry,
    repository: str,
    blobs: Sequence[Descriptor],
    open_blob: Callable[[Descriptor, int], BlobReader],
    mount_from: tuple[str, ...],
    progress: PushCallback | None,
    jobs: int,
    chunk_bytes: int,
) -> dict[str, Outcome]:
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

    telling = threading.Lock()
    over = threading.Event()
    outcomes: dict[str, Outcome] = {}

    def push_one(descriptor: Descriptor) -> None:
        def tell(done_bytes: int, outcome: Outcome | None = None) -> None:
            if progress is not None:
                with telling:
                    progress(BlobProgress(descriptor.digest, descriptor.size_bytes, done_bytes, outcome))

        if over.is_set():
            return
        upload = Upload(
            registry,
            repository,
            descriptor,
            lambda offset: open_blob(descriptor, offset),
            mount_from=mount_from,
            progress=tell,
            is_over=over.is_set,
            chunk_bytes=chunk_bytes,
        )
        outcome = outcomes[descriptor.digest] = upload.run()
        tell(descriptor.size_bytes, outcome)

    unique = {descriptor.digest: descriptor for descriptor in blobs}.values()
    with ThreadPoolExecutor(jobs, thread_name_prefix="carob-push") as pool:
        try:
            futures = [pool.submit(push_one, descriptor) for descriptor in unique]
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
        except BaseException:  # an error or an interrupt: else the pool would wait for all that has begun
            over.set()
            registry.close()
            raise
    return outcomes
