"""Where carob keeps things, and how that is decided."""

from __future__ import annotations

import os

SYSTEM_DATA_DIR = "/var/lib/carob"


def default_data_dir() -> str:
    """``/var/lib/carob`` for root; ``$XDG_DATA_HOME/carob`` (``~/.local/share/carob``) for anybody else."""
    if os.geteuid() == 0:
        return SYSTEM_DATA_DIR
    base = os.environ.get("XDG_DATA_HOME", "")
    if not base.startswith("/"):
        base = os.path.join(os.path.expanduser("~"), ".local", "share")
    return os.path.join(base, "carob")
