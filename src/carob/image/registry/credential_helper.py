"""Programs that keep credentials: ``docker-credential-NAME get``, asked over standard input.

The host goes in, ``{"ServerURL": ..., "Username": ..., "Secret": ...}`` comes out. A helper that has nothing
ends with status 1 and says so in one fixed sentence (github.com/docker/docker-credential-helpers).
What a helper says is never shown: it may hold the secret.
"""

from __future__ import annotations

import os

from carob.errors import CommandFailed, CorruptData, InvalidInput, NotFound
from carob.image.registry.credentials import Credentials
from carob.spec.oci.document import parse_document, text_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import Popen

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
_NOTHING = b"credentials not found in native keychain"
_OUTPUT_BYTES = 1 << 20


def ask_helper(name: str, server: str, *, named_in: str, patience_s: float) -> Credentials | None:
    """What the helper ``name`` has for a server; ``None`` where it has nothing.

    ``NotFound`` where there is no such program, ``CommandFailed`` where it fails or does not answer (it is
    killed then), ``CorruptData`` where its answer is none.
    """
    if not name or not _NAME.issuperset(name):
        raise InvalidInput(f"{named_in}: {name[:100]!r} is no name of a credential helper")
    program = f"docker-credential-{name}"
    status, output = _run(program, server, named_in, patience_s)
    if status and output.strip() == _NOTHING:
        return None
    if status:
        raise CommandFailed(
            f"the credential helper {program} ended with status {status}, asked for {server}",
            argv=(program, "get"),
            status=status,
            hint=f"try: echo {server} | {program} get; it is named in {named_in}",
        )
    what = f"the answer of {program}"
    try:
        document = parse_document(output, what, limit=_OUTPUT_BYTES)
    except CorruptData as error:  # its words tell where, not what
        raise CorruptData(error.message, hint=f"it is named in {named_in}") from None
    username = text_field(document, "Username", what, default="")
    secret = text_field(document, "Secret", what, default="")
    if username == "<token>":
        return Credentials(identity_token=secret, origin=program)
    return Credentials(username, secret, origin=program) if username else None


def _run(program: str, server: str, named_in: str, patience_s: float) -> tuple[int, bytes]:
    """Runs it in a session of its own, so that with it all ends that it has started."""
    import subprocess
    import time

    deadline = time.monotonic() + patience_s
    try:
        process = subprocess.Popen(
            [program, "get"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise NotFound(
            f"the credential helper {program} is not there",
            hint=f"install it, or take it out of {named_in}",
        ) from error
    except OSError as error:
        raise CommandFailed(
            f"the credential helper {program} cannot be run: {error.strerror}",
            argv=(program, "get"),
            hint=f"it is named in {named_in}",
        ) from error
    try:
        output = _talk(process, server, program, deadline)
        try:
            return process.wait(max(0.0, deadline - time.monotonic())), output
        except subprocess.TimeoutExpired:
            raise _late(program) from None
    finally:
        _end(process)


def _talk(process: Popen[bytes], server: str, program: str, deadline: float) -> bytes:
    import select
    import time

    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with process.stdin as stdin:
            stdin.write(server.encode())  # less than a pipe takes at once
    except BrokenPipeError:
        pass  # it did not wait for the question; its status says the rest
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    output = b""
    while True:
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            raise _late(program)
        piece = os.read(process.stdout.fileno(), 1 << 16)
        if not piece:
            return output
        output += piece
        if len(output) > _OUTPUT_BYTES:
            raise CorruptData(f"the credential helper {program} says too much")


def _late(program: str) -> CommandFailed:
    return CommandFailed(
        f"the credential helper {program} does not answer",
        argv=(program, "get"),
        hint="it may be waiting for a pass phrase",
    )


def _end(process: Popen[bytes]) -> None:
    import signal

    if process.returncode is None:  # not reaped, so that the group is surely its own
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
