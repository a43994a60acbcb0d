"""What a failed system call means to the caller of the image store."""

from __future__ import annotations

from carob.linux.failure import failed_on_content as translate

__all__ = ["translate"]
