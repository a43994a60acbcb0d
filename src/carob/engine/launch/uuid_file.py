"""A pod's uuid in a file of its own, for scripts: ``carob.pod``'s functions, for front ends."""

from __future__ import annotations

from carob.pod.uuid_file import read_uuid_from_file, write_uuid_to_file

__all__ = ["read_uuid_from_file", "write_uuid_to_file"]
