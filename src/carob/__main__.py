"""``python -m carob``: the same program as the ``carob`` command."""

from __future__ import annotations

import sys

from carob.cli.entry import main

if __name__ == "__main__":
    sys.exit(main())
