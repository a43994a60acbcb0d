"""The door to the services: what ``carob api-service`` calls."""

from __future__ import annotations

import asyncio
import logging
import os

from carob.errors import Unsupported
from carob.service.journal import Journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.engine.engine import Engine
    from carob.service.settings import ServiceSettings


def serve(engine: Engine, settings: ServiceSettings) -> None:
    """Serves the engine's pods and images until SIGTERM or SIGINT, in this process, which does nothing else.

    Raises ``Unsupported`` where gRPC is not installed, and what keeps it from listening.
    """
    # gRPC reads these when it is loaded: it watches over no fork, and says nothing by itself.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    journal = Journal(log_calls=settings.log_calls)
    logging.basicConfig(handlers=[_Handler(journal)], level=logging.WARNING, force=True)
    try:
        from carob.service.server import serve as serve_until_stopped
    except ImportError as error:
        raise Unsupported(
            f"the API service needs gRPC: {error}", hint="pip install 'carob[service]'"
        ) from error
    asyncio.run(serve_until_stopped(engine, settings, journal))


class _Handler(logging.Handler):
    """What libraries have to say, in the service's own log."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal
        self._traces = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        told = record.exc_info and self._traces.formatException(record.exc_info)
        self._journal.library(record.name, record.getMessage(), told or "")
