"""Images as CRI's messages. Pure."""

from __future__ import annotations

from carob.service.cri import api_pb2 as api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.engine.images.described import DescribedImage

_MOST_ID = (1 << 32) - 1


def image_message(image: DescribedImage) -> api.Image:
    """An image; the kubelet counts on one of ``uid`` and ``username`` where its user is not root."""
    message = api.Image(
        id=image.image_id, repo_tags=image.tags, repo_digests=image.digests, size=image.size_bytes
    )
    user = image.user.partition(":")[0]
    if user.isascii() and user.isdecimal() and int(user[:11]) <= _MOST_ID:
        message.uid.value = int(user)
    else:
        message.username = user.encode("utf-8", "replace").decode()
    return message
