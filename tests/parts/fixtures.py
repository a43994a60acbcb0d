"""The parts as fixtures: made when a test first asks for them, once a session, and ended with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from tests.needs import require, require_root
from tests.parts.big_image import BigImages
from tests.parts.buildah import Buildah, working_buildah
from tests.parts.certificates import Authority
from tests.parts.faulty_proxy import FaultyProxy
from tests.parts.forward_proxy import ForwardProxy
from tests.parts.lacking import Lacking
from tests.parts.registry import Basic, Registry, Tokens, running_registry

Part = TypeVar("Part")


def required(make: Callable[[], Part]) -> Part:
    """What ``make`` makes; where the machine lacks something for it, the test cannot run."""
    try:
        return make()
    except Lacking as lacking:
        reason = str(lacking)
    require(False, reason)
    raise AssertionError


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority of this session."""
    return Authority(tmp_path_factory.mktemp("authority"))


def _running(
    factory: pytest.TempPathFactory, authority: Authority | None = None, auth: Basic | None = None
) -> Iterator[Registry]:
    with contextlib.ExitStack() as stack:
        part = running_registry(factory.mktemp("registry"), authority=authority, auth=auth)
        yield required(lambda: stack.enter_context(part))


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry by plain HTTP that lets anybody do anything. Each test has repositories of its own."""
    yield from _running(tmp_path_factory)


@pytest.fixture(scope="session")
def tls_registry(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Registry]:
    """A registry by TLS."""
    yield from _running(tmp_path_factory, authority)


@pytest.fixture(scope="session")
def basic_registry(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Registry]:
    """A registry by TLS that wants user and password."""
    yield from _running(tmp_path_factory, authority, Basic())


@pytest.fixture(scope="session")
def shared_token_registry(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[Registry]:
    """A registry by TLS that wants tokens of its token server. Tests ask for `token_registry`."""
    yield from _running(tmp_path_factory, authority, Tokens())


@pytest.fixture
def token_registry(shared_token_registry: Registry) -> Iterator[Registry]:
    """The registry that wants tokens; at the end its token server lets go of connections."""
    yield shared_token_registry
    assert shared_token_registry.tokens is not None
    shared_token_registry.tokens.settle()


@pytest.fixture
def faulty_proxy() -> Iterator[Callable[..., FaultyProxy]]:
    """Makes proxies: called with what `FaultyProxy` takes."""
    with contextlib.ExitStack() as stack:

        def make(*arguments: object, **options: object) -> FaultyProxy:
            return stack.enter_context(FaultyProxy(*arguments, **options))  # type: ignore[arg-type]

        yield make


@pytest.fixture
def forward_proxy() -> Iterator[Callable[..., ForwardProxy]]:
    """Makes HTTP proxies: called with what `ForwardProxy` takes."""
    with contextlib.ExitStack() as stack:

        def make(**options: object) -> ForwardProxy:
            return stack.enter_context(ForwardProxy(**options))  # type: ignore[arg-type]

        yield make


class _Required:
    """Hands out what a part has; where that cannot be made, the test cannot run."""

    def __init__(self, part: object) -> None:
        self._part = part

    def __getattr__(self, name: str) -> Any:
        return required(lambda: getattr(self._part, name))


@pytest.fixture(scope="session")
def big_images() -> BigImages:
    """The large image and its relatives, from the checkout's cache."""
    return cast("BigImages", _Required(BigImages()))


@pytest.fixture
def buildah(tmp_path: Path) -> Iterator[Buildah]:
    """Buildah with a storage of its own."""
    require_root()
    with contextlib.ExitStack() as stack:
        yield required(lambda: stack.enter_context(working_buildah(tmp_path / "buildah")))
