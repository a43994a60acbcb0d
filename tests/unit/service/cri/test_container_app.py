from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carob.engine.request.mounts import ImageVolume, MemoryVolume
from carob.engine.request.pod import App, check_app_name
from carob.engine.request.signals import number
from carob.errors import InvalidInput, Unsupported
from carob.service.cri import api_pb2 as api
from carob.service.cri.container_app import app_name, container_app, process_namespace, stop_signal
from carob.service.cri.container_resources import current_resources, resources
from carob.service.cri.container_security import HostFacts

PLAIN_HOST = HostFacts(apparmor=False, selinux=False, least_oom_score_adj=-1000)


def config(**fields: Any) -> api.ContainerConfig:
    return api.ContainerConfig(metadata=api.ContainerMetadata(name="web", attempt=1), **fields)


def app(
    made: api.ContainerConfig, sandbox: api.PodSandboxConfig | None = None, host: HostFacts = PLAIN_HOST
) -> App:
    return container_app(made, image="sha256:1234", host=host, sandbox=sandbox or api.PodSandboxConfig())


def privileged() -> api.PodSandboxConfig:
    made = api.PodSandboxConfig()
    made.linux.security_context.privileged = True
    return made


def context(**fields: Any) -> api.ContainerConfig:
    return config(
        linux=api.LinuxContainerConfig(security_context=api.LinuxContainerSecurityContext(**fields))
    )


# --- what runs ------------------------------------------------------------------------------------


def test_a_command_replaces_the_entry_point_and_what_goes_with_it() -> None:
    made = app(config(command=["/bin/sh", "-c"], args=["echo"]))
    assert (made.exec, list(made.args)) == ("/bin/sh", ["-c", "echo"])


def test_arguments_alone_replace_the_images() -> None:
    made = app(config(args=["-v"]))
    assert (made.exec, list(made.args)) == (None, ["-v"])


def test_environment_directory_and_image() -> None:
    made = app(
        config(working_dir="srv", envs=[api.KeyValue(key="A", value=b"1"), api.KeyValue(key="A", value=b"2")])
    )
    assert (made.image, made.env, made.workdir) == ("sha256:1234", {"A": "2"}, "/srv")


def test_an_environment_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidInput, match="environment"):
        app(config(envs=[api.KeyValue(key="A", value=b"\xff")]))


@pytest.mark.parametrize(
    ("fields", "streams"), [({}, "null"), ({"stdin": True}, "stream"), ({"stdin": True, "tty": True}, "tty")]
)
def test_streams(fields: dict[str, bool], streams: str) -> None:
    assert app(config(**fields)).life.streams["stdin"] == streams


# --- names ----------------------------------------------------------------------------------------


@given(st.text(min_size=1), st.integers(0, 1 << 32 - 1))
def test_any_name_makes_one_of_an_app(name: str, attempt: int) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    check_app_name(app_name(api.ContainerMetadata(name=name, attempt=attempt)))


def test_names_stay_as_they_are_where_they_can_be_and_others_stay_apart() -> None:
    def named(name: str, attempt: int = 0) -> str:
        return app_name(api.ContainerMetadata(name=name, attempt=attempt))

    assert named("web", 3) == "web-3"
    assert named("Web").startswith("web-")
    others = {named(name) for name in ("web", "Web", "web_", "wEb", "-web", "a" * 200, "a" * 201)}
    assert len(others) == 7


# --- processes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "word"),
    [(api.POD, "pod"), (api.CONTAINER, "container"), (api.NODE, "host"), (api.TARGET, "app:x-0")],
)
def test_process_namespaces(mode: int, word: str) -> None:
    assert process_namespace(api.NamespaceOption(pid=mode), "x-0") == word


def test_a_target_is_needed_where_one_is_meant() -> None:
    with pytest.raises(InvalidInput):
        process_namespace(api.NamespaceOption(pid=api.TARGET), "")


def test_every_signal_has_its_number() -> None:
    said = {one: stop_signal(config(stop_signal=one)) for one in api.Signal.values()}
    assert said.pop(api.SIGNAL_RUNTIME_DEFAULT) is None
    numbers = {one: number(word or "") for one, word in said.items()}
    assert all(numbers.values())
    assert numbers[api.SIGNAL_SIGTERM] == 15
    assert (numbers[api.SIGNAL_SIGRTMIN], numbers[api.SIGNAL_SIGRTMINPLUS15]) == (34, 49)
    assert (numbers[api.SIGNAL_SIGRTMAXMINUS14], numbers[api.SIGNAL_SIGRTMAX]) == (50, 64)


# --- security -------------------------------------------------------------------------------------


def test_by_default_there_is_no_filter_and_nothing_is_masked_that_the_kubelet_did_not_name() -> None:
    made = app(context(masked_paths=["/proc/kcore"], readonly_paths=["/proc/sys"])).security
    assert made is not None
    assert (made.seccomp, made.unmask, made.mask, made.read_only_paths) == (
        "unconfined", ("ALL",), ("/proc/kcore",), ("/proc/sys",),
    )  # fmt: skip
    assert made.no_new_privileges is False


def test_capabilities_and_groups() -> None:
    made = app(
        context(
            capabilities=api.Capability(add_capabilities=["NET_ADMIN"], drop_capabilities=["ALL"]),
            supplemental_groups=[1234],
            supplemental_groups_policy=api.Strict,
            no_new_privs=True,
            readonly_rootfs=True,
        )
    ).security
    assert made is not None
    assert (made.cap_add, made.cap_drop) == (("CAP_NET_ADMIN",), ("ALL",))
    assert (made.groups, made.image_groups) == (("1234",), False)
    assert made.no_new_privileges
    assert made.read_only_rootfs


def seccomp(kind: Any, reference: str = "") -> api.ContainerConfig:
    return context(seccomp=api.SecurityProfile(profile_type=kind, localhost_ref=reference))


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (seccomp(api.SecurityProfile.RuntimeDefault), "default"),
        (seccomp(api.SecurityProfile.Unconfined), "unconfined"),
        (seccomp(api.SecurityProfile.Localhost, "/profiles/x.json"), "/profiles/x.json"),
        (seccomp(api.SecurityProfile.Localhost, "localhost//profiles/x.json"), "/profiles/x.json"),
        (context(seccomp_profile_path="runtime/default"), "default"),
        (context(seccomp_profile_path="localhost//profiles/x.json"), "/profiles/x.json"),
    ],
)
def test_filters(made: api.ContainerConfig, word: str) -> None:
    found = app(made).security
    assert found is not None
    assert found.seccomp == word


@pytest.mark.parametrize(
    "made", [seccomp(api.SecurityProfile.Localhost), context(seccomp_profile_path="what"), seccomp(17)]
)
def test_unknown_filters_are_refused(made: api.ContainerConfig) -> None:
    with pytest.raises(InvalidInput):
        app(made)


def test_what_is_privileged_has_no_filter_and_a_privileged_sandbox() -> None:
    made = context(
        privileged=True, seccomp=api.SecurityProfile(profile_type=api.SecurityProfile.RuntimeDefault)
    )
    found = app(made, privileged()).security
    assert found is not None
    assert (found.privileged, found.seccomp, found.mask) == (True, "unconfined", ())
    with pytest.raises(InvalidInput, match="sandbox"):
        app(made)


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (context(), None),
        (context(run_as_user=api.Int64Value(value=0)), "0"),
        (context(run_as_user=api.Int64Value(value=7), run_as_group=api.Int64Value(value=8)), "7:8"),
        (context(run_as_username="nobody"), "nobody"),
    ],
)
def test_users(made: api.ContainerConfig, word: str | None) -> None:
    assert app(made).user == word


@pytest.mark.parametrize(
    "made", [context(run_as_group=api.Int64Value(value=8)), context(run_as_user=api.Int64Value(value=-1))]
)
def test_a_group_needs_a_user_and_a_user_is_a_number(made: api.ContainerConfig) -> None:
    with pytest.raises(InvalidInput):
        app(made)


def test_labels_are_only_for_hosts_that_have_such_things() -> None:
    made = context(
        apparmor=api.SecurityProfile(profile_type=api.SecurityProfile.Unconfined),
        selinux_options=api.SELinuxOption(type="spc_t"),
    )
    without, having = (
        app(made).security,
        app(made, host=HostFacts(apparmor=True, selinux=True, least_oom_score_adj=0)).security,
    )
    assert without is not None
    assert having is not None
    assert (without.apparmor, without.selinux) == ("", "")
    assert (having.apparmor, having.selinux) == ("unconfined", "system_u:system_r:spc_t:s0")


def test_a_profile_by_name_is_asked_for_whatever_the_host_has() -> None:
    profile = api.SecurityProfile(profile_type=api.SecurityProfile.Localhost, localhost_ref="localhost/web")
    found = app(context(apparmor=profile)).security
    assert found is not None
    assert found.apparmor == "web"


# --- mounts ---------------------------------------------------------------------------------------


def mounted(*mounts: api.Mount) -> App:
    return app(config(mounts=mounts))


def test_a_mount_is_as_kubernetes_means_it() -> None:
    (mount, _) = mounted(
        api.Mount(
            container_path="/data",
            host_path="/srv",
            readonly=True,
            propagation=api.PROPAGATION_HOST_TO_CONTAINER,
        )
    ).mounts
    assert (mount.source, mount.target, mount.read_only, mount.propagation) == (
        "/srv",
        "/data",
        True,
        "slave",
    )
    assert (mount.nosuid, mount.nodev, mount.noexec) == (False, False, False)


def test_options_of_a_mount() -> None:
    (mount, _) = mounted(
        api.Mount(container_path="/d", host_path="/s", mount_options=["noexec", "nosuid"])
    ).mounts
    assert (mount.nosuid, mount.nodev, mount.noexec) == (True, False, True)


def test_an_image_is_mounted_read_only() -> None:
    (mount, _) = mounted(
        api.Mount(
            container_path="/d",
            image=api.ImageSpec(image="web", image_ref="sha256:12"),
            image_sub_path="etc",
            readonly=True,
        )
    ).mounts
    assert (mount.source, mount.read_only, mount.subpath) == (ImageVolume("sha256:12"), True, "etc")


@pytest.mark.parametrize(
    "mount",
    [
        api.Mount(container_path="/d"),
        api.Mount(container_path="/d", host_path="/s", mount_options=["suid"]),
        api.Mount(container_path="/d", host_path="/s", recursive_read_only=True),
        api.Mount(
            container_path="/d", host_path="/s", readonly=True, recursive_read_only=True,
            propagation=api.PROPAGATION_BIDIRECTIONAL,
        ),
        api.Mount(container_path="/d", host_path="/s", image=api.ImageSpec(image="x"), readonly=True),
        api.Mount(container_path="/d", image=api.ImageSpec(image="x")),
    ],
)  # fmt: skip
def test_mounts_that_cannot_be(mount: api.Mount) -> None:
    with pytest.raises(InvalidInput):
        mounted(mount)


def test_shared_memory_is_the_pods_unless_it_is_the_nodes_or_mounted() -> None:
    (pods,) = mounted().mounts
    assert isinstance(pods.source, MemoryVolume)
    assert pods.source.name
    node = api.PodSandboxConfig()
    node.linux.security_context.namespace_options.ipc = api.NODE
    (nodes,) = app(config(), node).mounts
    assert nodes.source == "/dev/shm"
    (own,) = mounted(api.Mount(container_path="/dev/shm/", host_path="/srv")).mounts
    assert own.source == "/srv"


# --- resources ------------------------------------------------------------------------------------


def limited(host: HostFacts = PLAIN_HOST, **fields: Any) -> App:
    return app(
        config(linux=api.LinuxContainerConfig(resources=api.LinuxContainerResources(**fields))), host=host
    )


def test_resources() -> None:
    found = limited(
        cpu_period=100000, cpu_quota=50000, cpu_shares=512, memory_limit_in_bytes=64 << 20,
        memory_swap_limit_in_bytes=64 << 20, cpuset_cpus="0",
        hugepage_limits=[api.HugepageLimit(page_size="2MB", limit=0)],
        unified={"pids.max": "100", "memory.high": "1"},
    ).resources  # fmt: skip
    assert found is not None
    assert found.given() == {
        "cpu_period_us": 100000, "cpu_quota_us": 50000, "cpu_shares": 512, "memory_bytes": 64 << 20,
        "memory_swap_bytes": 64 << 20, "cpuset_cpus": "0", "pids": 100,
    }  # fmt: skip


def test_nothing_is_no_limit() -> None:
    found = limited(memory_limit_in_bytes=-1, cpu_quota=-1).resources
    assert found is not None
    assert found.given() == {"memory_bytes": -1, "cpu_quota_us": -1, "pids": -1}
    assert resources(api.LinuxContainerResources()) is None


def test_a_word_of_the_kernels_that_carob_has_not_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"io\.max"):
        limited(unified={"io.max": "8:0 rbps=1"})


def test_an_app_is_never_nearer_to_being_killed_than_this_process_may_make_it() -> None:
    found = limited(oom_score_adj=-997).security
    clamped = limited(
        HostFacts(apparmor=False, selinux=False, least_oom_score_adj=0), oom_score_adj=-997
    ).security
    assert found is not None
    assert clamped is not None
    assert (found.oom_score_adj, clamped.oom_score_adj) == (-997, 0)


def test_devices() -> None:
    made = app(config(devices=[api.Device(host_path="/dev/kvm", container_path="/dev/x", permissions="rw")]))
    assert made.security is not None
    (device,) = made.security.devices
    assert (device.source, device.target, device.access) == ("/dev/kvm", "/dev/x", "rw")
    with pytest.raises(Unsupported):
        app(config(CDI_devices=[api.CDIDevice(name="vendor.example/x=1")]))


def test_what_was_updated_is_told_over_what_was_asked() -> None:
    asked = api.LinuxContainerResources(cpu_shares=512, memory_limit_in_bytes=1 << 26, oom_score_adj=7)
    current = {"linux": {"resources": {"cpu": {"shares": 1024}, "memory": {"limit": 1 << 27}}}}
    assert current_resources(asked, current) == api.LinuxContainerResources(
        cpu_shares=1024, memory_limit_in_bytes=1 << 27, oom_score_adj=7
    )
    assert current_resources(asked, {}) == asked
