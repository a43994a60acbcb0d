"""CRI's stats and metrics: what containers and sandboxes use."""

from __future__ import annotations

import os

from carob.engine.sandbox import views
from carob.engine.usage import figures
from carob.engine.usage.written import WrittenFiles
from carob.errors import Conflict, NotFound
from carob.service.cri import api_pb2 as api
from carob.service.cri import container_messages, lookup, sandbox_messages
from carob.service.cri.ids import container_id, sandbox_id
from carob.service.cri.metric_table import FileSystem, container_metrics, descriptors, pod_metrics
from carob.service.cri.stat_messages import container_stats, sandbox_stats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from carob.aio.steps import Steps
    from carob.engine.observe.status import AppStatus, PodStatus
    from carob.engine.usage.figures import PodFigures

_PIECE = 50
"""Entries in one message of a stream."""


class Figures:
    """The figures of a data directory's sandboxes."""

    def __init__(self, data_dir: str, steps: Steps) -> None:
        self._data_dir = data_dir
        self._steps = steps
        self._written = WrittenFiles()

    # Stats

    async def container(self, request: api.ContainerStatsRequest) -> api.ContainerStatsResponse:
        """ContainerStats."""

        def look() -> api.ContainerStats:
            view, app = lookup.container(self._data_dir, request.container_id)
            return self._container(view, app, self._of(view))

        return api.ContainerStatsResponse(stats=await self._steps.run(look))

    def _container(self, view: PodStatus, app: AppStatus, found: PodFigures | None) -> api.ContainerStats:
        return container_stats(view, app, found, mountpoint=self._data_dir)

    async def containers(self, request: api.ListContainerStatsRequest) -> api.ListContainerStatsResponse:
        """ListContainerStats: of those that run."""
        return api.ListContainerStatsResponse(stats=await self._steps.run(self._containers, request.filter))

    async def stream_containers(
        self, request: api.StreamContainerStatsRequest
    ) -> AsyncGenerator[api.StreamContainerStatsResponse, None]:
        """StreamContainerStats."""
        found = await self._steps.run(self._containers, request.filter)
        for begin in range(0, len(found), _PIECE):
            yield api.StreamContainerStatsResponse(container_stats=found[begin : begin + _PIECE])

    def _containers(self, wanted: api.ContainerStatsFilter) -> list[api.ContainerStats]:
        same = api.ContainerFilter(
            id=wanted.id, pod_sandbox_id=wanted.pod_sandbox_id, label_selector=wanted.label_selector
        )
        found = []
        for view in views.each(self._data_dir):
            apps = [app for app in view.apps if container_messages.satisfies(view, app, same)]
            seen = self._of(view) if apps else None
            found += [
                self._container(view, app, seen) for app in apps if seen is not None and app.name in seen.apps
            ]
        return found

    async def sandbox(self, request: api.PodSandboxStatsRequest) -> api.PodSandboxStatsResponse:
        """PodSandboxStats."""

        def look() -> api.PodSandboxStats:
            view = lookup.sandbox(self._data_dir, request.pod_sandbox_id)
            return sandbox_stats(view, self._of(view), mountpoint=self._data_dir)

        return api.PodSandboxStatsResponse(stats=await self._steps.run(look))

    async def sandboxes(self, request: api.ListPodSandboxStatsRequest) -> api.ListPodSandboxStatsResponse:
        """ListPodSandboxStats: of those that run."""
        return api.ListPodSandboxStatsResponse(stats=await self._steps.run(self._sandboxes, request.filter))

    async def stream_sandboxes(
        self, request: api.StreamPodSandboxStatsRequest
    ) -> AsyncGenerator[api.StreamPodSandboxStatsResponse, None]:
        """StreamPodSandboxStats."""
        found = await self._steps.run(self._sandboxes, request.filter)
        for begin in range(0, len(found), _PIECE):
            yield api.StreamPodSandboxStatsResponse(pod_sandbox_stats=found[begin : begin + _PIECE])

    def _sandboxes(self, wanted: api.PodSandboxStatsFilter) -> list[api.PodSandboxStats]:
        same = api.PodSandboxFilter(id=wanted.id, label_selector=wanted.label_selector)
        found = []
        for view in views.each(self._data_dir):
            if sandbox_messages.satisfies(view, same) and (seen := self._of(view)) is not None:
                found.append(sandbox_stats(view, seen, mountpoint=self._data_dir))
        return found

    def _of(self, view: PodStatus) -> PodFigures | None:
        """The figures of a sandbox; ``None`` where it does not run, or ends meanwhile."""
        if not views.is_running(view):
            return None
        try:
            return figures.of_pod(self._data_dir, view.uuid, written=self._written)
        except (NotFound, Conflict):
            return None

    # Metrics

    async def descriptors(
        self, request: api.ListMetricDescriptorsRequest
    ) -> api.ListMetricDescriptorsResponse:
        """ListMetricDescriptors."""
        return api.ListMetricDescriptorsResponse(descriptors=descriptors())

    async def metrics(self, request: api.ListPodSandboxMetricsRequest) -> api.ListPodSandboxMetricsResponse:
        """ListPodSandboxMetrics."""
        return api.ListPodSandboxMetricsResponse(pod_metrics=await self._steps.run(self._metrics))

    async def stream_metrics(
        self, request: api.StreamPodSandboxMetricsRequest
    ) -> AsyncGenerator[api.StreamPodSandboxMetricsResponse, None]:
        """StreamPodSandboxMetrics."""
        found = await self._steps.run(self._metrics)
        for begin in range(0, len(found), _PIECE):
            yield api.StreamPodSandboxMetricsResponse(pod_sandbox_metrics=found[begin : begin + _PIECE])

    def _metrics(self) -> list[api.PodSandboxMetrics]:
        files = self._file_system()
        return [
            self._metrics_of(view, seen, files)
            for view in views.each(self._data_dir)
            if (seen := self._of(view)) is not None
        ]

    def _file_system(self) -> FileSystem:
        there = os.statvfs(self._data_dir)
        return FileSystem(there.f_blocks * there.f_frsize, there.f_files, there.f_ffree)

    def _metrics_of(self, view: PodStatus, seen: PodFigures, files: FileSystem) -> api.PodSandboxMetrics:
        metadata = sandbox_messages.record_of(view).metadata
        pod = str(metadata.get("name", "")), str(metadata.get("namespace", ""))
        identifier = sandbox_id(view.uuid)
        message = api.PodSandboxMetrics(
            pod_sandbox_id=identifier, metrics=pod_metrics(seen, (*pod, "", identifier, ""))
        )
        for app in view.apps:
            if app.name not in seen.apps:
                continue
            record = container_messages.record_of(app)
            name = container_id(view.uuid, app.name)
            labels = (*pod, str(record.metadata.get("name", "")), name, record.image)
            message.container_metrics.add(
                container_id=name,
                metrics=container_metrics(app, seen.apps[app.name], files, seen.time_ns, labels),
            )
        return message
