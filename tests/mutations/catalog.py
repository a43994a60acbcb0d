"""All mutations."""

from __future__ import annotations

from tests.mutations.of_ends import OF_ENDS
from tests.mutations.of_images import OF_IMAGES
from tests.mutations.of_isolation import OF_ISOLATION
from tests.mutations.of_pods import OF_PODS

MUTATIONS = OF_PODS + OF_ENDS + OF_IMAGES + OF_ISOLATION
