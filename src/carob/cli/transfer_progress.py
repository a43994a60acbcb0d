"""Showing how far a transfer is, on standard error: bars on a terminal, else plain lines, or JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from carob.cli.options import Option
from carob.cli.output import STDERR, printable, say, size_text

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from carob.cli.options import Arguments
    from carob.engine.images.collection import BlobProgress, Cancellation, LayerProgress

    Told = Callable[[LayerProgress], object]

PROGRESS = Option(
    "--progress",
    "how to show the progress: bars on a terminal, else plain",
    "HOW",
    choices=("bars", "plain", "json", "none"),
)
PLATFORM = Option("--platform", "of an image for several, take the one for OS/ARCH[/VARIANT]", "PLATFORM")
PULL = Option(
    "--pull",
    "when to ask where the image comes from (new: always, and fetch what changed)",
    "WHEN",
    choices=("new", "missing", "never", "always"),
)
INSECURE = Option("--insecure-options", "what not to check: image, tls, http, pubkey; with commas", "WORDS")
_DIGEST = slice(len("sha256:"), len("sha256:") + 12)


@contextmanager
def shown(arguments: Arguments, what: str) -> Iterator[tuple[Told | None, Cancellation]]:
    """The callback for the layers of a fetch, and what cancels it: SIGINT, SIGTERM and SIGHUP do."""
    from carob.engine.images.collection import cancellation

    cancel = cancellation()
    with _cancelled_by_signals(cancel.cancel), renderer(arguments.text("--progress"), what) as told:
        yield told, cancel


@contextmanager
def sending(arguments: Arguments, what: str) -> Iterator[Callable[[BlobProgress], object] | None]:
    """The callback for the blobs of a push: bars as they are sent, else a line when each is there."""
    how = _how(arguments.text("--progress"))
    if how == "bars":
        with _bars(what) as bar:
            yield lambda blob: bar(
                blob.digest, blob.digest[_DIGEST], _word(blob), blob.done_bytes, blob.size_bytes
            )
        return

    def told(blob: BlobProgress) -> None:
        if how == "none" or blob.outcome is None:
            return
        if how == "json":
            document = {slot: getattr(blob, slot) for slot in blob.__slots__}
            _write_json({**document, "outcome": blob.outcome.value})
        else:
            say(f"{what}: {blob.digest[_DIGEST]}, {size_text(blob.size_bytes)}: {_word(blob)}")

    yield told


def _word(blob: BlobProgress) -> str:
    """What happens to a blob, or happened; in the words of a fetch."""
    if blob.outcome is None:
        return "sending"
    return {"present": "shared", "mounted": "mounted", "uploaded": "sent"}[blob.outcome.value]


def renderer(how: str, what: str) -> AbstractContextManager[Told | None]:
    """The callback for layers; ``how`` is a choice of ``PROGRESS``, or ``""``."""
    match _how(how):
        case "none":
            return nullcontext(None)
        case "json":
            return nullcontext(_tell_json)
        case "bars":
            return _layer_bars(what)
        case _:
            return nullcontext(_Lines(what).tell)


def _how(given: str) -> str:
    if given:
        return given
    return "bars" if os.isatty(STDERR) and os.environ.get("TERM", "dumb") != "dumb" else "plain"


class _Lines:
    """A line for each layer that begins and that is there, and none for those that were there already."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._phases: dict[int, str] = {}

    def tell(self, layer: LayerProgress) -> None:
        phase = layer.phase.value
        if self._phases.get(layer.position) == phase:
            return
        self._phases[layer.position] = phase
        if phase in ("downloading", "verifying", "done", "shared"):
            number = f"layer {layer.position + 1} of {layer.layers}"
            say(f"{self._what}: {number}, {layer.digest[_DIGEST]}, {size_text(layer.size_bytes)}: {phase}")


def _tell_json(layer: LayerProgress) -> None:
    document = {slot: getattr(layer, slot) for slot in layer.__slots__}
    document["phase"] = layer.phase.value
    _write_json(document)


def _write_json(document: dict[str, Any]) -> None:
    from carob.protocol.compact_json import dumps

    try:
        os.write(STDERR, (dumps(document) + "\n").encode())
    except OSError:
        return


@contextmanager
def _layer_bars(what: str) -> Iterator[Told]:
    with _bars(what) as bar:

        def tell(layer: LayerProgress) -> None:
            phase = layer.phase.value
            done = layer.size_bytes if phase in ("done", "shared") else layer.done_bytes
            bar(str(layer.position), layer.digest[_DIGEST], phase, done, layer.size_bytes)

        yield tell


@contextmanager
def _bars(what: str) -> Iterator[Callable[[str, str, str, int, int], None]]:
    """Gives a function that sets one bar: (key, label, word, done, size), bytes."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True, highlight=False, no_color="NO_COLOR" in os.environ or None)
    columns = (
        TextColumn("{task.fields[label]}"),
        TextColumn("{task.fields[word]:<11}"),
        BarColumn(bar_width=30),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    console.print(printable(what), markup=False)
    with Progress(*columns, console=console, refresh_per_second=8) as progress:
        tasks: dict[str, Any] = {}

        def bar(key: str, label: str, word: str, done: int, size: int) -> None:
            if key not in tasks:
                tasks[key] = progress.add_task("", label=label, word=word, total=size)
            progress.update(tasks[key], completed=done, word=word)

        yield bar


@contextmanager
def _cancelled_by_signals(cancel: Callable[[], object]) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP cancel, but for those that are ignored, as under nohup; a second SIGINT
    interrupts as it would without this.
    """
    import signal

    before: dict[signal.Signals, Any] = {}

    def handle(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
