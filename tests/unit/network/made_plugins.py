"""Plugins made for a test: small shell scripts that note each call and do what a test wants of them."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

from carob.network.attachment import Attachment, Plan
from carob.network.places import Places
from carob.network.record import make_record

GOOD_RESULT = {
    "cniVersion": "1.0.0",
    "interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/proc/1/ns/net"}],
    "ips": [{"address": "10.9.0.2/16", "gateway": "10.9.0.1", "interface": 0}],
    "dns": {"nameservers": ["10.9.0.1"]},
}
_SCRIPT = """\
#!/bin/sh
name=${{0##*/}}
asked=$(cat)
printf '%s\\n' "$CNI_COMMAND $name $CNI_IFNAME" >>'{calls}'
printf '%s' "$asked" >"{asked}/$CNI_COMMAND-$name-$CNI_IFNAME.json"
env >"{asked}/$CNI_COMMAND-$name-$CNI_IFNAME.env"
result='{result}'
case $CNI_COMMAND in
{cases}
ADD) printf '%s' "$result" ;;
esac
exit 0
"""


class Workshop:
    """A directory of plugins, the calls that they got, and a pod to attach with them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.plugins = directory / "plugins"
        self.asked_in = directory / "asked"
        self.plugins.mkdir()
        self.asked_in.mkdir()
        self._calls = directory / "calls"
        self._calls.touch()
        self.places = Places(
            configurations=(str(directory / "net.d"),),
            plugins=(str(self.plugins),),
            state=str(directory / "state"),
        )
        self.uuid = str(uuid.uuid4())
        self.pod_path = directory / "pods" / "run" / self.uuid
        self.pod_path.mkdir(parents=True)
        self.pod = os.open(self.pod_path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self.pod)

    def plugin(self, name: str, cases: str = "", result: dict[str, Any] | None = None) -> str:
        """A plugin that succeeds, but for the ``cases`` (``ADD) exit 1 ;;``)."""
        text = _SCRIPT.format(
            calls=self._calls, asked=self.asked_in, cases=cases, result=json.dumps(result or GOOD_RESULT)
        )
        path = self.plugins / name
        path.write_text(text)
        path.chmod(0o755)
        return name

    def plan(self, *lists: list[str], **more: Any) -> Plan:
        """Writes a plan with one attachment for each list of plugins: networks ``net0``, ``net1`` …"""
        attachments = tuple(
            Attachment(
                f"net{number}",
                f"eth{number}",
                version="1.0.0",
                plugins=tuple({"type": name, "key": "value"} for name in names),
                **more,
            )
            for number, names in enumerate(lists)
        )
        plan = Plan(self.uuid, attachments, self.places.plugins)
        with make_record(self.pod) as record:
            record.write_plan(plan)
        return plan

    def calls(self) -> list[str]:
        """What was called since the last time: ``COMMAND plugin interface``."""
        found = self._calls.read_text().splitlines()
        self._calls.write_text("")
        return found

    def asked(self, command: str, plugin: str, interface: str = "eth0") -> dict[str, Any]:
        """The last request of this kind."""
        found: dict[str, Any] = json.loads(
            (self.asked_in / f"{command}-{plugin}-{interface}.json").read_text()
        )
        return found

    def environment(self, command: str, plugin: str, interface: str = "eth0") -> dict[str, str]:
        """The environment of the last call of this kind."""
        lines = (self.asked_in / f"{command}-{plugin}-{interface}.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def state(self) -> list[str]:
        """What this boot knows of pods."""
        pods = self.directory / "state" / "pods"
        return sorted(os.listdir(pods)) if pods.is_dir() else []
