"""One exchange of request and answer with any host: connections, proxies, TLS. For any number of threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

from carob.errors import Unavailable
from carob.image.registry.certificates import HostFiles, directories, host_files, tls_context
from carob.image.registry.credentials import basic_header
from carob.image.registry.proxies import Proxies

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping

    from urllib3 import HTTPConnectionPool, HTTPResponse, PoolManager

    from carob.image.registry.answer import Answer
    from carob.image.registry.limits import Limits
    from carob.image.registry.pace import Pace
    from carob.image.registry.urls import Url

_CONNECTIONS = 16
"""So many idle connections to a host are kept."""
_POOLS = 16
"""To so many hosts connections are kept: redirects may lead to any number."""


def user_agent() -> str:
    """What carob calls itself."""
    from carob._version import __version__

    return f"carob/{__version__}"


class Transport:
    """Connections on behalf of one registry.

    What is trusted on its behalf, ``insecure``, ``ca`` and the authorities of certs.d for ``host``, is so for
    every host that it leads to, such as token servers and storage, as with Docker and skopeo; certificates
    are shown to their own hosts only. Keeps no cookies, follows no redirect, repeats nothing.
    """

    def __init__(
        self,
        *,
        limits: Limits,
        host: str = "",
        insecure: bool = False,
        ca: str = "",
        proxies: Proxies | None = None,
    ) -> None:
        self._limits = limits
        self._host = host
        self._insecure = insecure
        self._ca = ca
        self._proxies = proxies or Proxies()
        self._certificate_directories = directories()
        self._lock = threading.RLock()  # a signal may close an answer in the middle of any line
        self._managers: dict[str, PoolManager] = {}
        self._pools: dict[tuple[str, str, int], HTTPConnectionPool] = {}
        self._contexts: dict[tuple[tuple[str, ...], tuple[tuple[str, str], ...]], ssl.SSLContext] = {}
        self._under_way: set[Pace] = set()
        self._closed = threading.Event()

    def exchange(
        self,
        method: str,
        url: Url,
        headers: Mapping[str, str],
        *,
        body: bytes | Iterable[bytes] | None = None,
        headers_s: float = 0.0,
        total_s: float = 0.0,
    ) -> Answer:
        """Sends a request and waits for the headers of the answer; times as in `Pace`.

        ``Unavailable``, ``TimedOut`` and ``Rejected`` name the host.
        """
        from urllib3 import Timeout

        from carob.image.registry.answer import Answer
        from carob.image.registry.pace import Pace, paced
        from carob.image.registry.trouble import troubles

        pool, goes_through = self._pool(url)
        pace = Pace(self._limits, headers_s=headers_s, total_s=total_s)
        with self._lock:
            self._check_open()
            self._under_way.add(pace)
        try:
            with paced(pace), troubles(url):
                response = pool.urlopen(
                    method,
                    url.whole if goes_through else url.target,
                    body=body,
                    headers={"User-Agent": user_agent(), "Accept-Encoding": "identity", **headers},
                    retries=False,
                    redirect=False,
                    assert_same_host=False,
                    timeout=Timeout(connect=self._limits.connect_s, read=self._limits.stall_s),
                    preload_content=False,
                    decode_content=False,
                )
        except BaseException:
            self._forget(pace)
            self._check_open()
            raise
        return Answer(url, cast("HTTPResponse", response), pace, self._forget)

    def wait(self, seconds: float) -> None:
        """Sleeps; ``Unavailable`` at once where the transport is closed meanwhile."""
        if self._closed.wait(seconds):
            self._check_open()

    def close(self) -> None:
        """Ends what is under way and lets go of all connections; afterwards every exchange fails."""
        with self._lock:
            self._closed.set()
            for pace in list(self._under_way):
                pace.cut()
            pools = list(self._pools.values())
            self._pools.clear()
        for pool in pools:
            pool.close()

    def _forget(self, pace: Pace) -> None:
        pace.release()
        with self._lock:
            self._under_way.discard(pace)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise Unavailable("the connection to the registry was given up", hint="it was closed meanwhile")

    def _pool(self, url: Url) -> tuple[HTTPConnectionPool, bool]:
        """The connections to the URL's host, and whether whole URLs are sent, as to a proxy in between."""
        proxy = self._proxies.find(url)
        goes_through = proxy is not None and url.scheme == "http"
        key = ("http", proxy.url, 0) if proxy is not None and goes_through else url.origin
        with self._lock:
            self._check_open()
            pool = self._pools.pop(key, None)
            if pool is None:
                manager = self._manager(proxy.url, proxy.credentials) if proxy else self._manager("", "")
                manager.clear()  # it may know one that was closed here
                settings = {"ssl_context": self._context(url)} if url.scheme == "https" else {}
                pool = manager.connection_from_host(url.host, url.port, url.scheme, pool_kwargs=settings)
            self._pools[key] = pool  # the last one is the one used last
            if len(self._pools) > _POOLS:
                self._pools.pop(next(iter(self._pools))).close()
        return pool, goes_through

    def _manager(self, proxy_url: str, credentials: str) -> PoolManager:
        from urllib3 import PoolManager, ProxyManager

        from carob.image.registry.pace import PlainPool, TLSPool

        manager = self._managers.get(proxy_url)
        if manager is None:
            settings: dict[str, Any] = {"num_pools": 1, "maxsize": _CONNECTIONS}
            if proxy_url:
                manager = ProxyManager(
                    proxy_url,
                    proxy_headers={"Proxy-Authorization": basic_header(credentials)} if credentials else {},
                    proxy_ssl_context=tls_context(HostFiles((), ()), insecure=False),
                    **settings,
                )
            else:
                manager = PoolManager(**settings)
            manager.pool_classes_by_scheme = {"http": PlainPool, "https": TLSPool}
            self._managers[proxy_url] = manager
        return manager

    def _context(self, url: Url) -> ssl.SSLContext:
        """TLS settings, made once for all hosts that need the same: reading the system's store takes time."""
        files = host_files(url.authority, self._certificate_directories)
        authorities = list(files.authorities)
        if self._host and self._host != url.authority:
            authorities += host_files(self._host, self._certificate_directories).authorities
        if self._ca:
            authorities.append(self._ca)
        key = (tuple(authorities), files.pairs)
        if key not in self._contexts:
            self._contexts[key] = tls_context(HostFiles(*key), insecure=self._insecure)
        return self._contexts[key]
