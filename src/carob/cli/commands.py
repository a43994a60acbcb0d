"""The verbs, each with the module it is in; a module is loaded when its verb is used."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context
    from carob.cli.options import Arguments, Command

VERBS = {
    "run": "run",
    "prepare": "prepare",
    "run-prepared": "run_prepared",
    "list": "list",
    "status": "status",
    "cat-manifest": "cat_manifest",
    "logs": "logs",
    "enter": "enter",
    "attach": "attach",
    "cp": "cp",
    "port-forward": "port_forward",
    "top": "top",
    "stats": "stats",
    "events": "events",
    "timeline": "timeline",
    "update": "update",
    "stop": "stop",
    "restart": "restart",
    "kill": "kill",
    "pause": "pause",
    "resume": "resume",
    "rm": "rm",
    "gc": "gc",
    "app sandbox": "app_sandbox",
    "app add": "app_add",
    "app start": "app_start",
    "app stop": "app_stop",
    "app rm": "app_rm",
    "app list": "app_list",
    "app status": "app_status",
    "fetch": "fetch",
    "export": "export",
    "image list": "image_list",
    "image inspect": "image_inspect",
    "image cat-manifest": "image_cat_manifest",
    "image history": "image_history",
    "image tag": "image_tag",
    "image rm": "image_rm",
    "image gc": "image_gc",
    "image verify": "image_verify",
    "image usage": "image_usage",
    "image import": "image_import",
    "image load": "image_load",
    "image save": "image_save",
    "image push": "image_push",
    "image export": "image_export",
    "image extract": "image_extract",
    "image render": "image_render",
    "network list": "network_list",
    "network check": "network_check",
    "volume create": "volume_create",
    "volume list": "volume_list",
    "volume inspect": "volume_inspect",
    "volume rm": "volume_rm",
    "volume gc": "volume_gc",
    "trust add": "trust_add",
    "trust list": "trust_list",
    "trust rm": "trust_rm",
    "doctor": "doctor",
    "api-service": "api_service",
    "config": "config",
    "completion": "completion",
    "version": "version",
    "help": "help",
}
GROUPS = ("app", "image", "network", "volume", "trust")
"""First words that need a second one."""


class Verb:
    """A verb's declaration and what it does."""

    __slots__ = ("_module", "command")

    def __init__(self, name: str) -> None:
        module = __import__(f"carob.cli.{VERBS[name]}", fromlist=["COMMAND", "run"])
        self.command: Command = module.COMMAND
        self._module = module

    def parse(self, words: list[str]) -> Arguments:
        """What was given after the verb; raises ``UsageError``."""
        if self.command.apps:
            from carob.cli import app_grammar

            return app_grammar.parse(self.command, words)
        from carob.cli import options

        return options.parse(self.command, words)

    def run(self, arguments: Arguments, context: Context) -> int:
        """Does it; returns the exit status."""
        status: int = self._module.run(arguments, context)
        return status
