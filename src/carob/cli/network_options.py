"""``--net`` and what goes with it, as ``run`` and ``prepare`` have them."""

from __future__ import annotations

from carob.cli.options import Arguments, Option
from carob.engine.settings import DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.engine.request.options import PodOptions
    from carob.engine.settings import Settings

FOR_NETWORKS = (
    Option(
        "--net",
        "none, host, default, default-restricted, all, or networks by name, NAME[:IP=ADDRESS;KEY=VALUE], with"
        " commas between (default: none; with -p default)",
        "NETWORKS",
        many=True,
    ),
    Option(
        "--publish",
        "lead ports of the host to the pod: [ADDRESS:]HOST[-END]:POD[-END][/udp]; POD alone for a free one",
        "PORTS",
        short="-p",
        many=True,
    ),
    Option(
        "--port",
        "lead a port of the host to the one that an image calls NAME",
        "NAME:[ADDRESS:]HOST",
        many=True,
    ),
    Option(
        "--dns",
        "a name server for resolv.conf; host for the host's, none for the image's",
        "ADDRESS",
        many=True,
    ),
    Option("--dns-search", "a domain that short names are looked for in", "DOMAIN", many=True),
    Option("--dns-domain", "the domain in resolv.conf", "DOMAIN"),
    Option("--dns-opt", "an option in resolv.conf", "OPTION", many=True),
    Option("--add-host", "a name in /etc/hosts", "NAME:ADDRESS", many=True),
    Option(
        "--hosts-entry", "the same in rkt's way; host begins with the host's file", "ADDRESS=NAME", many=True
    ),
)


def networks(arguments: Arguments, settings: Settings | None) -> PodOptions:
    """What was given of these. Where no network was, and ``settings`` are given, theirs is taken."""
    options: PodOptions = {}
    if arguments.has("--net"):
        options["network"] = arguments.texts("--net")
    elif settings is not None and settings.sources["network"] != DEFAULT:
        options["network"] = settings.text("network")
    ports = [*arguments.texts("--publish"), *arguments.texts("--port")]
    hosts = [*arguments.texts("--add-host"), *arguments.texts("--hosts-entry")]
    if ports:
        options["ports"] = ports
    if hosts:
        options["hosts"] = hosts
    if arguments.has("--dns"):
        options["dns"] = arguments.texts("--dns")
    if arguments.has("--dns-search"):
        options["dns_search"] = arguments.texts("--dns-search")
    if arguments.has("--dns-domain"):
        options["dns_domain"] = arguments.text("--dns-domain")
    if arguments.has("--dns-opt"):
        options["dns_options"] = arguments.texts("--dns-opt")
    return options
