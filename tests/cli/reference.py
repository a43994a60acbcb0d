"""docs/reference/cli.md, made from the verbs' own declarations.

python -m tests.cli.reference            prints it
python -m tests.cli.reference --write    writes it
"""

from __future__ import annotations

import sys

from carob.cli.commands import VERBS, Verb
from carob.cli.help import of_command, overview
from tests.needs import ROOT

PAGE = ROOT / "docs/reference/cli.md"

_START = """\
# The command line

This page is made from the command's own declarations (`python -m tests.cli.reference --write`); a test
compares them. `carob help VERB` prints the same.

## What holds for every verb

- **Data on standard output, words on standard error.** An error is one line: `carob: what happened (what
  to do)`. There are no colours, with or without `NO_COLOR`. Where nobody reads standard output any more,
  the command ends quietly, with 141.
- **`--format=json`** prints one JSON document; times are nanoseconds since 1970. A pod has at least
  `uuid`, `name`, `state` (rkt's names) and `apps`. An app's `end` is null or has a `kind`: `exited` with
  `code`, `signaled` with `signal`, `out-of-memory`, or `unknown` with `reason`.
- **A UUID may be shortened** to any beginning that no other pod has.
- **Options** may stand anywhere; `--option=value` and `--option value` are the same, `--` ends them.
  Durations are `90` (seconds), `30s`, `10m`, `1h30m`, `2d`.
- **Configuration**: [configuration.md](configuration.md); `carob config` shows it.

## Exit status

| status | means |
| --- | --- |
| 0 | done; for a pod in the foreground: every app ended with 0 |
| the app's own | `run`, `run-prepared`, `enter`: its exit code, 128 + n where signal n ended it |
| 125 | carob's own failure, wrong usage included; an app's end that nobody saw |
| 126 | the program cannot be executed: no right to, or another machine's, or too many arguments |
| 127 | the program is not there, or the interpreter or loader that it names |
| 130, 141 | the command itself was interrupted, or nobody reads its output |

Of several apps, the first in the manifest's order that failed counts. Where the pod was stopped because
an app had failed, those that the stopping itself ended (SIGTERM, SIGKILL) do not count.

Where standard input is a directory (`carob enter UUID < /`), the Python interpreter ends with 1 and words of
its own before carob begins. Nothing enters a pod.

## Signals

While a pod runs in the foreground, SIGINT, SIGTERM and SIGHUP reach its apps as their stop signal (the
image's `StopSignal`, SIGTERM by default), and SIGKILL follows after the grace. A second SIGINT kills the
apps at once, a third one the pod's init, and with it everything. A signal that was ignored when the
command began (`nohup`) stays ignored.

## The apps of a pod

    carob run [POD OPTIONS] IMAGE [APP OPTIONS] [-- ARG…] [--- IMAGE2 [APP OPTIONS] [-- ARG…]]…

The grammar is rkt's. What stands before the first image is for the whole pod, what stands after an image
is for its app: `--name` before is the pod's name and after is the app's; `--env`, `--user`, `--group`,
`--workdir`, `--volume` and `--mount` before are for every app. `--` begins an app's arguments and `---`
ends them.

## Pod manifests

`--pod-manifest` takes an appc pod manifest, such as `carob cat-manifest` prints. Images are found in the
local store by the digest that carob noted (`carob/image-digest`), by their id, or, where the id is
`sha512-` and zeros, by name and the label `version`. Used are: names, commands, users and groups,
environments, working directories, volumes and mounts, and the pod's annotations. Everything else
(ports, event handlers, unknown keys …) is refused by name,
never passed over.

## Verbs
"""


def page() -> str:
    """Return the whole page."""
    parts = [_START, "\n```text\n", overview(), "```\n"]
    for name in VERBS:
        parts += [f"\n### carob {name}\n\n```text\n", of_command(Verb(name).command), "```\n"]
    return "".join(parts)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        print(page(), end="")
