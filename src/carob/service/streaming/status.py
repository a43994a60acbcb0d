"""What the error stream says at the end of an exec or attach.

From version 4 of the protocol on it is a ``Status`` of Kubernetes' meta/v1 as JSON, before that plain text,
and nothing where all went well (k8s.io/streaming, k8s.io/client-go tools/remotecommand).
"""

from __future__ import annotations

import json


class Outcome:
    """How it went: with an exit ``code``, or with an error of ours and no code."""

    __slots__ = ("code", "message")

    def __init__(self, code: int | None, message: str = "") -> None:
        self.code = code
        self.message = message

    def text(self) -> bytes:
        """For the protocols before version 4."""
        return b"" if self.code == 0 else self._message().encode()

    def document(self) -> bytes:
        """For version 4 and later."""
        status: dict[str, object] = {"metadata": {}}
        if self.code == 0:
            status["status"] = "Success"
        elif self.code is not None:
            cause = {"reason": "ExitCode", "message": str(self.code)}
            status |= {"status": "Failure", "message": self._message(), "reason": "NonZeroExitCode"}
            status["details"] = {"causes": [cause]}
        else:
            status |= {
                "status": "Failure",
                "message": self._message(),
                "reason": "InternalError",
                "code": 500,
            }
            status["details"] = {"causes": [{"message": self.message}]}
        return json.dumps(status).encode()

    def _message(self) -> str:
        if self.code is None:
            return f"Internal error occurred: {self.message}"
        return f"command terminated with non-zero exit code: exit status {self.code}"
