"""Mutations of what enters a pod, what it may take, and what it costs."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

_DESCRIPTORS = "Only pipes and terminals enter a pod"
_IDLE = "Nothing of carob's wakes up while a pod is idle"
_LIMITS = "A limit holds or is refused"
_SECRETS = "Secrets never touch the disk"
_POWER = "By default an app has no power over its host"
_OTHERS = "Other users of the machine reach nothing of a pod"

OF_ISOLATION = (
    Mutation(
        _DESCRIPTORS,
        "whatever an exec brings enters the pod",
        "supervisor/control.py",
        "if not all(S_ISFIFO(os.fstat(one).st_mode) for one in descriptors):",
        "if not all(os.fstat(one).st_mode for one in descriptors):",
        "tests/root/test_exec.py::test_only_pipes_enter_a_pod",
    ),
    Mutation(
        _DESCRIPTORS,
        "a supervisor keeps what its caller has open",
        "supervisor/boot.py",
        "    close_range(CALLER + 1, 0xFFFFFFFF)\n",
        "    (close_range, CALLER)\n",
        "tests/root/test_isolation.py::test_the_supervisor_holds_nothing_of_the_callers",
    ),
    Mutation(
        _DESCRIPTORS,
        "who follows logs may hand in anything",
        "supervisor/control.py",
        "if len(descriptors) != 1 or not _is_writing_end(descriptors[0]):",
        "if len(descriptors) != 1:",
        "tests/root/test_followers.py::test_only_the_writing_end_of_a_pipe_is_taken",
    ),
    Mutation(
        _IDLE,
        "init looks about ten times a second",
        "supervisor/init.py",
        "        if not due:\n            return None\n",
        "        if not due:\n            return 100\n",
        "tests/root/test_idle.py::test_nothing_wakes_up_for_a_pod_that_does_nothing",
    ),
    Mutation(
        _IDLE,
        "a monitor looks about ten times a second",
        "supervisor/monitor.py",
        "poll.poll(int(rest.AFTER_S * 1000) if may_rest else None)",
        "poll.poll(100) or [(-1, 0)]",
        "tests/root/test_idle.py::test_nothing_wakes_up_for_a_pod_that_does_nothing",
    ),
    Mutation(
        _LIMITS,
        "more processors may be asked for than there are",
        "engine/prepare/limiting.py",
        "    if resources.cpus is not None and resources.cpus > count:",
        "    if resources.cpus is not None and resources.cpus < 0:",
        "tests/root/test_resources.py::test_what_this_host_cannot_grant_is_refused_before_there_is_a_pod",
    ),
    Mutation(
        _LIMITS,
        "what the kernel refuses is passed over",
        "linux/limits.py",
        "            raise left[0][1]",
        "            return",
        "tests/root/test_resources.py::test_limits_change_while_it_runs_and_what_is_not_named_stays",
    ),
    Mutation(
        _LIMITS,
        "the limits of a whole pod are not set",
        "supervisor/monitor.py",
        '        limits.apply(group, plan["limits"])\n',
        "        (limits, group)\n",
        "tests/root/test_resources.py::test_the_kernel_has_the_limits_of_apps_and_of_the_pod",
    ),
    Mutation(
        _SECRETS,
        "the contents of a pod's files are kept in its directory",
        "engine/launch/start.py",
        "        carried = carry(files)\n",
        "        carried = carry(files)\n"
        '        with open(f"{data_dir}/pods/prepared/{uuid}/files", "wb") as kept:\n'
        "            kept.write(os.pread(carried, 1 << 20, 0))\n",
        "tests/root/test_volumes_kinds.py::test_files_are_in_memory_and_for_the_app_alone",
    ),
    Mutation(
        _POWER,
        "an app may gain rights by what it executes",
        "runtime/confinement.py",
        "no_new_privileges: bool = True,",
        "no_new_privileges: bool = False,",
        "tests/unit/runtime/test_bundle.py::"
        "test_root_gets_the_small_set_of_capabilities_and_no_new_privileges",
    ),
    Mutation(
        _POWER,
        "a capability that apps have lets them mount",
        "runtime/seccomp/rules.py",
        '"CAP_SYS_CHROOT": ("chroot",),',
        '"CAP_SYS_CHROOT": ("chroot", "mount"),',
        "tests/unit/runtime/test_seccomp_default.py::test_what_was_made_beforehand_is_what_the_rules_say",
    ),
    Mutation(
        _OTHERS,
        "whoever reaches a pod's socket is served",
        "supervisor/control.py",
        "if uid not in (0, os.geteuid()) or len(self.clients) >= most:",
        "if len(self.clients) >= most:",
        "tests/root/test_exec.py::test_another_user_is_not_served",
    ),
    Mutation(
        _OTHERS,
        "whoever likes may look at the layers of images",
        "image/layers/trees.py",
        "make_directory(self.layers + name, mode=0o700)",
        "make_directory(self.layers + name, mode=0o755)",
        "tests/unit/image/test_trees.py::test_layers_are_for_their_owner_only",
    ),
)
