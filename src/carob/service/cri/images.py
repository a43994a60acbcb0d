"""CRI's ImageService: the images of a data directory as the kubelet asks for them."""

from __future__ import annotations

import asyncio
import json
import time

from carob.engine.images import described, transfer
from carob.engine.images.footprint import Footprint
from carob.errors import InvalidInput, NotFound, Rejected, Unavailable
from carob.service.cri import api_pb2 as api
from carob.service.cri.image_messages import image_message
from carob.service.cri.image_names import hub_name, is_id, is_short
from carob.service.cri.info import check_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import grpc

    from carob.aio.engine import Engine
    from carob.aio.steps import Steps
    from carob.engine.engine import Engine as BlockingEngine
    from carob.engine.images.collection import Credentials
    from carob.engine.images.described import DescribedImage
    from carob.service.calls import Calls

SERVICE = "runtime.v1.ImageService"
_PIECE = 200
"""Images in one message of a stream."""


class ImageService:
    """The methods. ``close`` ends what goes on behind them."""

    def __init__(self, engine: BlockingEngine, on_loop: Engine, steps: Steps) -> None:
        self._data_dir = engine.data_dir
        self._images = engine.images
        self._on_loop = on_loop
        self._steps = steps
        self._footprint = Footprint(engine.data_dir)
        self._measuring = asyncio.Lock()
        self._collecting: asyncio.Task[None] | None = None
        self._collect_again = False

    def handlers(self, calls: Calls) -> dict[str, grpc.RpcMethodHandler[bytes, bytes]]:
        """The methods by name."""
        unary, stream = calls.unary, calls.stream
        return {
            "ListImages": unary(f"{SERVICE}/ListImages", api.ListImagesRequest, self._list_images),
            "StreamImages": stream(f"{SERVICE}/StreamImages", api.StreamImagesRequest, self._stream_images),
            "ImageStatus": unary(f"{SERVICE}/ImageStatus", api.ImageStatusRequest, self._image_status),
            "PullImage": unary(f"{SERVICE}/PullImage", api.PullImageRequest, self._pull_image),
            "RemoveImage": unary(f"{SERVICE}/RemoveImage", api.RemoveImageRequest, self._remove_image),
            "ImageFsInfo": unary(f"{SERVICE}/ImageFsInfo", api.ImageFsInfoRequest, self._image_fs_info),
        }

    async def close(self) -> None:
        """Waits for a collection that has begun."""
        self._collect_again = False
        if self._collecting is not None:
            await asyncio.wait({self._collecting})

    async def find(self, name: str) -> DescribedImage:
        """The image that the kubelet means by a name or id. Raises ``NotFound``, ``InvalidInput``."""
        return await self._steps.run(self._find, name)

    def _find(self, name: str) -> DescribedImage:
        try:
            return described.describe(self._data_dir, _asked(name))
        except NotFound:
            if is_id(name) or not is_short(name):
                raise
        return described.describe(self._data_dir, self._full_name(name))

    def _full_name(self, short: str) -> str:
        return transfer.alias(self._data_dir, short) or hub_name(short)

    # Lists

    async def _list_images(self, request: api.ListImagesRequest) -> api.ListImagesResponse:
        return api.ListImagesResponse(images=await self._listed(request.filter))

    async def _stream_images(
        self, request: api.StreamImagesRequest
    ) -> AsyncGenerator[api.StreamImagesResponse, None]:
        found = await self._listed(request.filter)
        for begin in range(0, len(found), _PIECE):
            yield api.StreamImagesResponse(images=found[begin : begin + _PIECE])

    async def _listed(self, wanted: api.ImageFilter) -> list[api.Image]:
        if wanted.image.image:
            try:
                return [image_message(await self.find(wanted.image.image))]
            except (NotFound, InvalidInput):
                return []
        found = await self._steps.run(described.described, self._data_dir)
        return [image_message(one) for one in found]

    async def _image_status(self, request: api.ImageStatusRequest) -> api.ImageStatusResponse:
        try:
            found = await self.find(request.image.image)
        except NotFound:
            return api.ImageStatusResponse()
        response = api.ImageStatusResponse(image=image_message(found))
        if request.verbose:
            told = await self._steps.run(self._images.inspect, found.image_id)
            response.info["info"] = json.dumps(told)
        return response

    # In and out

    async def _pull_image(self, request: api.PullImageRequest) -> api.PullImageResponse:
        name = _asked(request.image.image)
        await self._steps.run(check_handler, request.image.runtime_handler)
        if is_id(name):  # no registry knows of it
            return api.PullImageResponse(image_ref=(await self.find(name)).image_id)
        if is_short(name):
            name = await self._steps.run(self._full_name, name)
        try:
            found = await self._on_loop.images.fetch(name, credentials=_credentials(request.auth))
        except Unavailable as error:  # the kubelet looks for these two words (cri-api, pkg/errors)
            raise Unavailable(f"RegistryUnavailable: {error.message}", hint=error.hint) from error
        except Rejected as error:
            raise Rejected(f"SignatureValidationFailed: {error.message}", hint=error.hint) from error
        return api.PullImageResponse(image_ref=found.image_id)

    async def _remove_image(self, request: api.RemoveImageRequest) -> api.RemoveImageResponse:
        await self._steps.run(self._remove, _asked(request.image.image))
        self._collect()
        return api.RemoveImageResponse()

    def _remove(self, name: str) -> None:
        try:
            found = self._find(name)
        except NotFound:
            return
        described.remove_with_all_names(self._data_dir, found.image_id)

    def _collect(self) -> None:
        """Gives the disk back, behind the call: once for all images that are removed meanwhile."""
        self._collect_again = True
        if self._collecting is None or self._collecting.done():
            self._collecting = asyncio.get_running_loop().create_task(self._collect_until_done())

    async def _collect_until_done(self) -> None:
        while self._collect_again:
            self._collect_again = False
            await self._steps.run(self._images.gc)

    # What they take

    async def _image_fs_info(self, request: api.ImageFsInfoRequest) -> api.ImageFsInfoResponse:
        async with self._measuring:
            used_bytes, inodes = await self._steps.run(self._footprint.measure)
        # Images and containers are on one file system: by two names for it the kubelet would see two.
        usage = api.FilesystemUsage(
            timestamp=time.time_ns(),
            fs_id=api.FilesystemIdentifier(mountpoint=self._data_dir),
            used_bytes=api.UInt64Value(value=used_bytes),
            inodes_used=api.UInt64Value(value=inodes),
        )
        return api.ImageFsInfoResponse(image_filesystems=[usage], container_filesystems=[usage])


def _asked(name: str) -> str:
    if not name:
        raise InvalidInput("no image is asked for: its name is empty")
    return name


def _credentials(auth: api.AuthConfig) -> Credentials | None:
    """What the kubelet found for the registry; ``None`` where it found nothing."""
    return transfer.credentials(
        auth.username,
        auth.password,
        basic=auth.auth,
        identity_token=auth.identity_token,
        registry_token=auth.registry_token,
    )
