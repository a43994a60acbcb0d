"""Mutations of how images are taken in, kept and unpacked."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

_NAMES = "The image store names nothing that it lacks"
_USED = "Nothing that is used is collected"
_HOSTILE = "A hostile image does no harm"
_PASSWORDS = "A password goes only to whom it is for"

OF_IMAGES = (
    Mutation(
        _NAMES,
        "a blob's digest is not looked at",
        "image/fetch/download.py",
        "        if actual != self._descriptor.digest:",
        "        if not actual:",
        "tests/unit/image/test_download.py::test_wrong_bytes_leave_nothing",
        quick=True,
    ),
    Mutation(
        _NAMES,
        "a blob that ends too early is whole",
        "image/fetch/download.py",
        "        if self._done_bytes < missing:\n",
        "        if self._done_bytes < 0:\n",
        "tests/unit/image/test_download.py::test_too_few_bytes_are_kept_for_the_next_time",
    ),
    Mutation(
        _NAMES,
        "a layer has its name before its files are on the disk",
        "image/layers/unpacking.py",
        "        syncfs(self._sync_fd)\n",
        "        (syncfs, self._sync_fd)\n",
        "tests/root/test_lost_writes.py::test_a_layer_whose_bytes_were_lost_meanwhile_gets_no_name",
    ),
    Mutation(
        _NAMES,
        "a blob that could not be written back is kept for the next time",
        "image/fetch/download.py",
        "self._is_wrong = True  # whoever reads it",
        "# whoever reads it",
        "tests/unit/image/test_download.py::test_what_could_not_be_written_back_is_not_kept",
    ),
    Mutation(
        _USED,
        "a collection does not ask what pods use",
        "image/store/gc.py",
        "return {chain_id for chain in chains for chain_id in chain}",
        "return {chain_id for chain in chains for chain_id in chain[:0]}",
        "tests/unit/image/test_gc.py::test_what_a_pod_uses_stays",
        quick=True,
    ),
    Mutation(
        _USED,
        "what was written down since a collection began is not looked at",
        "image/store/gc.py",
        "unused = locks.keys() - self._used_layers() if locks else set()",
        "unused = set(locks)",
        "tests/unit/image/test_gc.py::test_who_writes_down_during_a_collection_is_seen",
    ),
    Mutation(
        _USED,
        "a collection takes what is only locked yet",
        "image/store/gc.py",
        "held = lock(path, exclusive=True, wait=False)\n            except",
        "held = lock(path, exclusive=False, wait=False)\n            except",
        "tests/unit/image/test_gc.py::test_a_hold_protects_what_is_not_written_down_yet",
    ),
    Mutation(
        _HOSTILE,
        "links of a layer lead out of it",
        "image/files/rooted.py",
        "flags, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)",
        "flags, 0)",
        "tests/unit/image/test_hostile_layers.py::test_entries_below_links_stay_inside",
    ),
    Mutation(
        _HOSTILE,
        "a layer may grow without end",
        "image/tar/limits.py",
        "        if taken > limits.ratio_free_bytes + limits.ratio * self.compressed_bytes:",
        "        if taken < 0:",
        "tests/unit/image/test_hostile_layers.py::test_a_bomb_of_zeros",
    ),
    Mutation(
        _HOSTILE,
        "a layer may bring overlay's own marks of deletion",
        "image/layers/unpack.py",
        "            if (entry.device_major, entry.device_minor) == (0, 0):",
        "            if entry.device_major < 0:",
        "tests/unit/image/test_hostile_layers.py::test_what_is_refused",
    ),
    Mutation(
        _HOSTILE,
        "a mark of deletion leaves what is below",
        "image/layers/settle.py",
        "            self._delete(whiteouts)\n",
        "            self._delete(whiteouts[:0])\n",
        "tests/unit/image/test_merged_trees.py::test_the_merged_tree_is_what_the_layers_say",
    ),
    Mutation(
        _PASSWORDS,
        "credentials go along wherever a registry redirects to",
        "image/registry/requester.py",
        "is_elsewhere = is_elsewhere or target.origin != request.url.origin",
        "is_elsewhere = False",
        "tests/unit/image/registry/test_auth.py::test_another_port_is_another_host",
    ),
    Mutation(
        _PASSWORDS,
        "credentials go to wherever a registry has an upload sent",
        "image/registry/requester.py",
        "if self._authorizer is None or request.url.origin != self._origin:",
        "if self._authorizer is None:",
        "tests/unit/image/registry/test_auth.py::test_an_upload_elsewhere_is_without_credentials",
    ),
    Mutation(
        _USED,
        "a volume that only a prepared pod has is in nobody's use",
        "engine/volumes/uses.py",
        "INCLUDE_EMBRYO_DIR | INCLUDE_PREPARE_DIR | INCLUDE_PREPARED_DIR | INCLUDE_RUN_DIR\n    found",
        "INCLUDE_EMBRYO_DIR | INCLUDE_PREPARE_DIR | INCLUDE_RUN_DIR\n    found",
        "tests/root/test_volumes_named.py::test_a_volume_is_kept_for_as_long_as_a_pod_could_need_it",
    ),
)
