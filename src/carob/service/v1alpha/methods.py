"""The seven methods of rkt's ``v1alpha.PublicAPI``."""

from __future__ import annotations

from contextlib import aclosing

from carob._version import __version__
from carob.engine import settings
from carob.engine.appc.documents import AC_VERSION
from carob.engine.rkt import images as rkt_images
from carob.engine.rkt import pods as rkt_pods
from carob.errors import InvalidInput, NotFound
from carob.service.v1alpha import api_pb2 as api
from carob.service.v1alpha import event_stream, log_stream
from carob.service.v1alpha.filters import image_satisfies, pod_satisfies
from carob.service.v1alpha.messages import image_message, pod_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import grpc

    from carob.aio.steps import Steps
    from carob.service.calls import Calls

SERVICE = "v1alpha.PublicAPI"
API_VERSION = "1.0.0-alpha"


class PublicApi:
    """The pods and images of a data directory, as rkt's clients ask for them."""

    def __init__(self, data_dir: str, steps: Steps) -> None:
        self._data_dir = data_dir
        self._steps = steps

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[bytes, bytes]]:
        """The methods by name."""
        unary, stream = calls.unary, calls.stream
        return {
            "GetInfo": unary(f"{SERVICE}/GetInfo", api.GetInfoRequest, self._get_info),
            "ListPods": unary(f"{SERVICE}/ListPods", api.ListPodsRequest, self._list_pods),
            "InspectPod": unary(f"{SERVICE}/InspectPod", api.InspectPodRequest, self._inspect_pod),
            "ListImages": unary(f"{SERVICE}/ListImages", api.ListImagesRequest, self._list_images),
            "InspectImage": unary(f"{SERVICE}/InspectImage", api.InspectImageRequest, self._inspect_image),
            "ListenEvents": stream(f"{SERVICE}/ListenEvents", api.ListenEventsRequest, self._listen_events),
            "GetLogs": stream(f"{SERVICE}/GetLogs", api.GetLogsRequest, self._get_logs),
        }

    async def _get_info(self, request: api.GetInfoRequest) -> api.GetInfoResponse:
        system, local, user = [path.rpartition("/")[0] for path in settings.files()]
        flags = api.GlobalFlags(
            dir=self._data_dir,
            system_config_dir=system,
            local_config_dir=local,
            user_config_dir=user,
            insecure_flags="none",
        )
        info = api.Info(
            rkt_version=__version__, appc_version=AC_VERSION, api_version=API_VERSION, global_flags=flags
        )
        return api.GetInfoResponse(info=info)

    async def _list_pods(self, request: api.ListPodsRequest) -> api.ListPodsResponse:
        return await self._steps.run(self._listed_pods, request)

    def _listed_pods(self, request: api.ListPodsRequest) -> api.ListPodsResponse:
        response = api.ListPodsResponse()
        for pod in rkt_pods.each(self._data_dir):
            message = pod_message(pod, manifest=request.detail)
            if pod_satisfies(message, request.filters):
                response.pods.append(message)
        return response

    async def _inspect_pod(self, request: api.InspectPodRequest) -> api.InspectPodResponse:
        found = await self._steps.run(rkt_pods.one, self._data_dir, _asked(request.id, "pod"))
        return api.InspectPodResponse(pod=pod_message(found, manifest=True))

    async def _list_images(self, request: api.ListImagesRequest) -> api.ListImagesResponse:
        return await self._steps.run(self._listed_images, request)

    def _listed_images(self, request: api.ListImagesRequest) -> api.ListImagesResponse:
        response = api.ListImagesResponse()
        for image in rkt_images.each(self._data_dir):
            message = image_message(image, manifest=request.detail)
            if image_satisfies(message, request.filters):
                response.images.append(message)
        return response

    async def _inspect_image(self, request: api.InspectImageRequest) -> api.InspectImageResponse:
        found = await self._steps.run(rkt_images.one, self._data_dir, _asked(request.id, "image"))
        return api.InspectImageResponse(image=image_message(found, manifest=True))

    async def _listen_events(
        self, request: api.ListenEventsRequest
    ) -> AsyncGenerator[api.ListenEventsResponse, None]:
        async with aclosing(event_stream.listen(self._data_dir, self._steps, request)) as responses:
            async for response in responses:
                yield response

    async def _get_logs(self, request: api.GetLogsRequest) -> AsyncGenerator[api.GetLogsResponse, None]:
        pod = await self._steps.run(rkt_pods.one, self._data_dir, _asked(request.pod_id, "pod"))
        apps = [request.app_name] if request.app_name else [app.name for app in pod.apps]
        if not apps:
            raise NotFound(f"pod {pod.uuid} has no apps, and so no logs")
        found = log_stream.read(self._data_dir, pod.uuid, apps, self._steps, request)
        async with aclosing(found) as responses:
            async for response in responses:
                yield response


def _asked(name: str, what: str) -> str:
    if not name:
        raise InvalidInput(f"no {what} is asked for: its id is empty")
    return name
