"""A real Debian root file system, made by mmdebstrap from the packages that this machine's apt knows.

Which archive they come from is this machine's affair: its own sources are used, of Debian's alone.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.parts.lacking import Lacking, command

PACKAGES = ("iputils-ping", "libcap2-bin", "python3")
"""What is in it beyond Debian's minimum: an interpreter, and a program with a capability."""

_LIFE_S = 600
# Of this machine, or of the moment: not for an image. /dev is what the runtime makes it.
_TELLING = ("etc/apt/sources.list.d", "etc/apt/apt.conf.d/99mmdebstrap", "var/log", "var/cache", "dev")


def make(target: Path) -> None:
    """Makes it in a directory that is not there yet. `Lacking` without root, mmdebstrap or known packages."""
    if os.geteuid() != 0:
        raise Lacking("needs root to make a Debian root file system")
    programs = [command("setpriv"), "--pdeathsig=KILL", command("mmdebstrap")]
    suite, sources = _sources()
    options = ["--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}", "--quiet"]
    options += [f"--aptopt={setting}" for setting in _download_settings()]
    options += ["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=force-unsafe-io"]
    result = subprocess.run(
        [*programs, *options, suite, str(target), "-"],
        input=sources,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIFE_S,
        env={"PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"},
    )
    if result.returncode != 0:
        raise RuntimeError(f"mmdebstrap: {result.stderr.strip()[-4000:]}")
    _clean(target)


def _clean(tree: Path) -> None:
    for name in _TELLING:
        path = tree / name
        if path.is_dir():
            mode = stat.S_IMODE(path.stat().st_mode)
            shutil.rmtree(path)
            path.mkdir()
            path.chmod(mode)
        else:
            path.unlink(missing_ok=True)
    (tree / "etc/resolv.conf").write_bytes(b"")
    (tree / "etc/hostname").write_text("debian\n")


def _sources() -> tuple[str, str]:
    """The suite and the lines of sources.list(5) for what this machine has of Debian's lists."""
    lines, suites = [], []
    for target in _index_targets():
        if target.get("Origin") != "Debian" or not target.get("Label", "").startswith("Debian"):
            continue
        suite = target["Release"]
        suites.append(suite)
        signed = target.get("Signed-By") or "/usr/share/keyrings/debian-archive-keyring.gpg"
        options = f"[signed-by={signed}] " if os.path.exists(signed) else ""
        lines.append(f"deb {options}{target['Repo-URI']} {suite} {target['Component']}")
    if not lines:
        raise Lacking("needs apt's lists of Debian packages: apt-get update")
    base = min(suites, key=len)  # trixie rather than trixie-updates
    return base, "\n".join(dict.fromkeys(lines)) + "\n"


def _index_targets() -> Iterator[dict[str, str]]:
    """The lists of packages that apt has, as it describes them."""
    apt = command("apt-get")
    result = subprocess.run(
        [apt, "indextargets", "Created-By: Packages"], capture_output=True, text=True, check=True
    )
    for paragraph in result.stdout.split("\n\n"):
        fields = (line.partition(": ") for line in paragraph.splitlines())
        if found := {name: value for name, _, value in fields}:
            yield found


def _download_settings() -> list[str]:
    """How this machine's apt gets at its archive: proxies and the like."""
    shown = subprocess.run([command("apt-config"), "dump"], capture_output=True, text=True, check=True).stdout
    wanted = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries")
    return [line for line in shown.splitlines() if line.startswith(wanted) and not line.endswith('"";')]
