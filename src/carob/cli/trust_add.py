"""``carob trust add``."""

from __future__ import annotations

import os
import sys

from carob.cli.exit_codes import FAILED, SUCCESS
from carob.cli.options import Arguments, Command, Option, UsageError
from carob.cli.output import say, write
from carob.cli.transfer_progress import INSECURE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context
    from carob.engine.images.trust import OfferedKeys

COMMAND = Command(
    "trust add",
    "trust keys to sign appc images",
    "[KEY…]",
    options=(
        Option("--prefix", "for images of this name, or below it", "NAME"),
        Option("--root", "for every image"),
        Option("--skip-fingerprint-review", "do not ask, trust what is there"),
        INSECURE,
    ),
    most=None,
    details="""KEY is a file or a URL; without one, the keys that the site of the prefix names are looked
for by discovery. The fingerprints are shown, and asked about unless --skip-fingerprint-review is given.""",
)


def run(arguments: Arguments, context: Context) -> int:
    """Shows the keys, asks, and adds them."""
    prefix = arguments.text("--prefix")
    if bool(prefix) is arguments.has("--root"):
        raise UsageError("trusted for what?", hint="either --prefix NAME or --root")
    if not prefix and not arguments.words:
        raise UsageError("which keys? --root has no site to ask", hint="carob trust add --root KEY…")
    trust = context.engine.trust
    offered = trust.offered(
        arguments.words, prefix=prefix, insecure=arguments.text("--insecure-options") or "none"
    )
    status = SUCCESS
    for key in offered:
        if arguments.has("--skip-fingerprint-review") or _agreed(key, prefix):
            for added in trust.add(key, prefix=prefix):
                write(added.path)
        else:
            say(f"not trusted: {key.location}")
            status = FAILED
    return status


def _agreed(offered: OfferedKeys, prefix: str) -> bool:
    """Asks on the terminal; nobody there means no."""
    where = f"for {prefix} and below" if prefix else "for every image"
    for key in offered.keys:
        say(f"{offered.location}: key {key.fingerprint}")
        for user in key.user_ids:
            say(f"  {user}")
    if not os.isatty(0):
        say("there is no terminal to ask on (--skip-fingerprint-review trusts without asking)")
        return False
    os.write(2, f"carob: trust it {where}? [y/N] ".encode())
    return sys.stdin.readline().strip().lower() in ("y", "yes")
