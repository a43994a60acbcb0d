"""The layers of one image: downloaded several at once, and each unpacked while it is downloaded.

Downloads wait for nobody but other downloads of the same blob, and who unpacks waits for downloads, never the
other way round: so two fetches cannot wait for each other. The first failure stops all and is the one that
is raised.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager

from carob.errors import CorruptData, OutOfResources, Rejected, Unsupported
from carob.image.cancel import Cancellation
from carob.image.fetch.download import StalePartial, Watcher, receive
from carob.image.fetch.progress import Phase, Progress
from carob.image.layers.growing import GrowingBlob, GrowingInput, LayerInput, StoredInput
from carob.image.layers.trees import Trees
from carob.image.sources.source import Mirrored, Source
from carob.image.store.blobs import HeldBlobs
from carob.image.store.resolved import ResolvedImage
from carob.spec.oci.descriptor import Descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.image.layers.unpacking import Unpacking


_HOPELESS = (CorruptData, OutOfResources, Rejected, Unsupported)


@contextmanager
def fetched_layers(
    source: Source,
    blobs: HeldBlobs,
    trees: Trees | None,
    image: ResolvedImage,
    progress: Progress,
    jobs: int,
    cancel: Cancellation,
) -> Iterator[None]:
    """Brings the layers of ``image`` into the store, and unpacks those that are missing unless ``trees`` is
    ``None``. Within the block garbage collection leaves them alone, blobs and unpacked layers.
    """
    stop = Cancellation()
    with ExitStack() as stack:
        stack.enter_context(cancel.calls(stop.cancel))
        stack.enter_context(stop.calls(source.close))  # else the first failure waits for silent servers
        unpacking = None
        missing: list[int] = []
        if trees is not None:
            from carob.image.layers.unpacking import Unpacking

            missing = [
                position
                for position, chain_id in enumerate(image.chain_ids)
                if not os.path.lexists(trees.layer_path(chain_id))
            ]
            unpacking = stack.enter_context(
                Unpacking(
                    trees,
                    image,
                    on_done=lambda position: progress.enter(position, Phase.DONE),
                )
            )
            stack.enter_context(stop.calls(unpacking.stop))
        _Layers(source, blobs, image, progress, unpacking, missing, stop).run(jobs)
        yield


class _Layers:
    def __init__(
        self,
        source: Source,
        blobs: HeldBlobs,
        image: ResolvedImage,
        progress: Progress,
        unpacking: Unpacking | None,
        missing: Collection[int],
        stop: Cancellation,
    ) -> None:
        self.progress = progress
        self.missing = missing
        self.stop = stop
        self._source = source
        self._blobs = blobs
        self._image = image
        self._unpacking = unpacking
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._unpacked: list[Future[None]] = []

    def run(self, jobs: int) -> None:
        positions: dict[str, list[int]] = {}
        for position, layer in enumerate(self._image.layers):
            positions.setdefault(layer.digest, []).append(position)
        with (
            ThreadPoolExecutor(jobs, "carob-download") as downloaders,
            ThreadPoolExecutor(jobs, "carob-unpack") as self._unpackers,
        ):
            try:
                wait([downloaders.submit(self._bring, group) for group in positions.values()])
                wait(self._unpacked)
            except BaseException:  # the caller's thread is interrupted
                self.stop.cancel()
                raise
        if self._failure is not None:
            raise self._failure
        if self._unpacking is not None:
            self._unpacking.finish()

    def fail(self, error: BaseException) -> None:
        """Notes the first failure, and stops what goes on."""
        with self._lock:
            if self._failure is None:
                self._failure = error
        self.stop.cancel()

    def is_hopeless(self) -> bool:
        """Whether the image is not worth another fetch as it is: it is broken, or there is no room for it."""
        return isinstance(self._failure, _HOPELESS)

    def unpack(
        self, position: int, growing: GrowingInput | None, watcher: _BlobWatcher
    ) -> Future[None] | None:
        """Begins to unpack one layer, if that is wanted: from a blob that is growing, or is in the store."""
        if self._unpacking is None:
            return None
        future = self._unpackers.submit(self._unpack, position, growing, watcher)
        with self._lock:
            self._unpacked.append(future)
        return future

    def _bring(self, positions: Sequence[int]) -> None:
        try:
            descriptor = self._image.layers[positions[0]]
            is_fresh = False
            while True:
                watcher = _BlobWatcher(self, positions, is_doubtful=self._has_mirrors())
                try:
                    is_ours = self._receive(descriptor, watcher)
                    break
                except CorruptData as error:
                    # What an earlier download left was wrong; or what a mirror gave, and no mirror is asked
                    # again for a blob that it gave wrong bytes of.
                    is_stale = isinstance(error, StalePartial) and not is_fresh
                    if not is_stale and not self._distrust(descriptor):
                        raise
                    is_fresh = True
                    watcher.settle()
            watcher.finish(is_ours)
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread, by run
            self.fail(error)

    def _has_mirrors(self) -> bool:
        return isinstance(self._source, Mirrored) and self._source.has_mirrors()

    def _distrust(self, descriptor: Descriptor) -> bool:
        """Whether there is another place to have a blob from, now that one gave wrong bytes."""
        return isinstance(self._source, Mirrored) and self._source.distrust(descriptor)

    def _receive(self, descriptor: Descriptor, watcher: _BlobWatcher) -> bool:
        return receive(
            self._blobs,
            descriptor,
            lambda offset: self._source.open_blob(descriptor, offset),
            cancel=self.stop,
            watcher=watcher,
        )

    def _unpack(self, position: int, growing: GrowingInput | None, watcher: _BlobWatcher) -> None:
        assert self._unpacking is not None
        layer = self._image.layers[position]
        inputs = [growing] if growing is not None else []

        def open_input() -> LayerInput:
            # Asked for again later, it is in the store by then.
            return (
                inputs.pop() if inputs else StoredInput(self._blobs.layout.open_blob(layer), self.stop.check)
            )

        try:
            self._unpacking.layer(position, open_input)
        except BaseException as error:  # noqa: BLE001 - the same
            watcher.note(error)
        finally:
            inputs.clear()
            if growing is not None:
                growing.close()


class _BlobWatcher(Watcher):
    """What becomes of one blob, the layers at ``positions``, in one attempt to download it.

    Where it ``is_doubtful``, another attempt may bring other bytes, and that these could not be unpacked
    counts only when they prove to be right.
    """

    def __init__(self, layers: _Layers, positions: Sequence[int], *, is_doubtful: bool) -> None:
        self._layers = layers
        self._positions = positions
        self._lock = threading.Lock()
        self._errors: list[BaseException] = []
        self._unpacked: list[Future[None]] = []
        self._is_doubtful = is_doubtful

    def begin(self, growing: GrowingBlob, fd: int) -> None:
        # Where an earlier download left something, it may be rubbish, and unpacking then fails first.
        self._is_doubtful = self._is_doubtful or os.fstat(fd).st_size > 0
        for position in self._positions:
            if position in self._layers.missing:
                reader = GrowingInput(growing, fd, self._layers.stop.check)
                if (future := self._layers.unpack(position, reader, self)) is not None:
                    self._unpacked.append(future)

    def reread(self, done_bytes: int) -> None:
        self._tell(Phase.VERIFYING, done_bytes)

    def received(self, done_bytes: int) -> None:
        self._tell(Phase.DOWNLOADING, done_bytes)

    def is_useless(self) -> bool:
        return self._layers.is_hopeless()

    def _tell(self, phase: Phase, done_bytes: int) -> None:
        for position in self._positions:
            self._layers.progress.enter(position, phase)
            self._layers.progress.reach(position, done_bytes)

    def note(self, error: BaseException) -> None:
        """Unpacking failed. That is the fetch's failure, unless the bytes may be to blame."""
        with self._lock:
            if self._is_doubtful:
                self._errors.append(error)
                return
        self._layers.fail(error)

    def settle(self) -> None:
        """Waits until nothing of this attempt goes on."""
        wait(self._unpacked)

    def finish(self, is_ours: bool) -> None:
        """The blob is there and right. What unpacking could not make of it is final."""
        with self._lock:
            self._is_doubtful = False
        if self._errors:
            self._layers.fail(self._errors[0])
        for position in self._positions:
            if position not in self._layers.missing:
                self._layers.progress.enter(position, Phase.DONE if is_ours else Phase.SHARED)
            else:
                self._layers.progress.enter(position, Phase.UNPACKING)
            if not (is_ours and position in self._layers.missing):
                # Also one that was there when we looked: it may have been collected since.
                self._layers.unpack(position, None, self)
