"""Configuration: what may be set, where it is looked for, and which place wins.

From the weakest to the strongest: carob's defaults, ``/usr/lib/carob/carob.toml``,
``/etc/carob/carob.toml``, ``$XDG_CONFIG_HOME/carob/carob.toml`` (``~/.config/carob/carob.toml``), the
environment, and the command's flags. docs/reference/configuration.md lists the keys. The command uses
this; a program that embeds carob gives ``Engine`` what it wants.
"""

from __future__ import annotations

import os

from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias

    Value: TypeAlias = str | float | bool

SYSTEM_DATA_DIR = "/var/lib/carob"
SYSTEM_FILES = ("/usr/lib/carob/carob.toml", "/etc/carob/carob.toml")
DEFAULT = "default"
FLAG = "flag"


class Key:
    """One setting: its ``name`` in the files (a dot leads into a table), ``default``, and what it ``means``.

    ``kind`` is ``path``, ``text``, ``seconds``, ``count`` or ``flag``; ``choices`` are all values allowed, if
    there are any.
    """

    __slots__ = ("choices", "default", "kind", "means", "name")

    def __init__(
        self, name: str, kind: str, default: Value, means: str, choices: tuple[str, ...] = ()
    ) -> None:
        self.name = name
        self.kind = kind
        self.default = default
        self.means = means
        self.choices = choices

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return "CAROB_" + self.name.replace(".", "_").upper()


KEYS = (
    Key("dir", "path", "", "the data directory; empty: /var/lib/carob for root, else below XDG_DATA_HOME"),
    Key("runtime", "text", "", "the OCI runtime, by name or path; empty: crun, else runc"),
    Key("network", "text", "none", "the networks of pods that ask for none, as --net takes them"),
    Key(
        "pull",
        "text",
        "missing",
        "when pods ask where an image comes from",
        ("missing", "new", "never", "always"),
    ),
    Key("overlay", "flag", True, "whether apps' file systems are overlays; else the image is copied"),
    Key("grace_s", "seconds", 10.0, "seconds between an app's stop signal and SIGKILL"),
    Key("supervisor.python", "path", "", "the interpreter for supervisors; empty: the command's own"),
    Key("logs.max_bytes", "count", 0, "bytes of a log file, which is put aside then; 0: no bound"),
    Key("logs.max_files", "count", 5, "log files that are kept of an app, where they are bounded"),
    Key("gc.grace_s", "seconds", 1800.0, "seconds that an ended pod stays after gc marked it"),
    Key("gc.expire_prepared_s", "seconds", 86400.0, "seconds that a prepared pod waits to be run"),
    # Of carob.image.limits, which this does not load.
    Key("images.limits.layer_bytes", "count", 1 << 37, "bytes of a layer, as it is downloaded"),
    Key("images.limits.image_bytes", "count", 1 << 38, "bytes of an image's layers, as they are downloaded"),
    Key("images.limits.unpacked_bytes", "count", 1 << 38, "bytes of a layer, uncompressed"),
    Key("images.limits.ratio", "count", 256, "uncompressed bytes for a compressed one, beyond the first GiB"),
    Key("images.limits.entries", "count", 2_000_000, "files in a layer"),
    Key("images.limits.archive_bytes", "count", 1 << 38, "bytes of an archive, uncompressed"),
    Key("images.limits.aci_bytes", "count", 1 << 34, "bytes of an ACI, as it comes"),
    Key("images.limits.aci_unpacked_bytes", "count", 1 << 36, "bytes of an ACI, uncompressed"),
    Key("images.limits.connect_s", "seconds", 15.0, "seconds for a connection to a registry"),
    Key("images.limits.headers_s", "seconds", 60.0, "seconds until a registry begins to answer"),
    Key("images.limits.stall_s", "seconds", 30.0, "seconds without a byte from a registry"),
    Key("images.limits.request_s", "seconds", 300.0, "seconds for all attempts of a request to a registry"),
    Key("images.limits.attempts", "count", 5, "attempts of a request to a registry"),
)
_KEYS = {key.name: key for key in KEYS}


class Settings:
    """The value of every key, and where each is from: ``default``, ``flag``, a variable or a file."""

    __slots__ = ("_values", "sources")

    def __init__(self) -> None:
        self._values: dict[str, Value] = {key.name: key.default for key in KEYS}
        self.sources: dict[str, str] = {key.name: DEFAULT for key in KEYS}

    def put(self, name: str, value: object, source: str) -> None:
        """Sets a key from ``source``, a file or variable by name. Raises ``InvalidInput`` with both names."""
        key = _KEYS.get(name)
        if key is None:
            raise InvalidInput(f"{source}: unknown key {name!r}", hint=f"the keys are {', '.join(_KEYS)}")
        self._values[name] = _checked(key, value, source)
        self.sources[name] = source

    def text(self, name: str) -> str:
        """The value of a path or text."""
        return str(self._values[name])

    def seconds(self, name: str) -> float:
        """The value of a time."""
        return float(self._values[name])

    def changed(self, table: str) -> dict[str, float]:
        """The numbers of a table that somebody has set, by their names in it."""
        prefix = table + "."
        return {
            name.removeprefix(prefix): value
            for name, value in self._values.items()
            if name.startswith(prefix) and self.sources[name] != DEFAULT and not isinstance(value, str)
        }

    def flag(self, name: str) -> bool:
        """The value of a flag."""
        return bool(self._values[name])

    def value(self, name: str) -> Value:
        """The value, whatever its kind."""
        return self._values[name]

    @property
    def data_dir(self) -> str:
        """The data directory, decided."""
        return self.text("dir") or default_data_dir()


def _checked(key: Key, value: object, source: str) -> Value:
    match key.kind, value:
        case "flag", bool():
            return value
        case "seconds", int() | float() if not isinstance(value, bool) and 0 <= value < float("inf"):
            return float(value)
        case "count", int() if not isinstance(value, bool) and value >= 0:
            return value
        case "path", str() if (not value or value.startswith("/")) and "\0" not in value:
            return value
        case "text", str() if not key.choices or value in key.choices:
            return value
    wanted = {
        "flag": "true or false",
        "seconds": "a number of seconds, not negative",
        "count": "a whole number, not negative",
        "path": "an absolute path",
        "text": " or ".join(key.choices) or "a string",
    }[key.kind]
    raise InvalidInput(f"{source}: {key.name} must be {wanted}, not {value!r}")


def default_data_dir() -> str:
    """``$CAROB_DIR`` where that is set; else ``/var/lib/carob`` for root, and for anybody else
    ``$XDG_DATA_HOME/carob`` (``~/.local/share/carob``).
    """
    if os.environ.get("CAROB_DIR"):
        return os.environ["CAROB_DIR"]
    if os.geteuid() == 0:
        return SYSTEM_DATA_DIR
    return os.path.join(_xdg("XDG_DATA_HOME", ".local/share"), "carob")


def files() -> tuple[str, ...]:
    """The configuration files that are looked for, the weakest first."""
    return *SYSTEM_FILES, os.path.join(_xdg("XDG_CONFIG_HOME", ".config"), "carob", "carob.toml")


def _xdg(variable: str, otherwise: str) -> str:
    base = os.environ.get(variable, "")
    return base if base.startswith("/") else os.path.join(os.path.expanduser("~"), otherwise)


def load(environment: Mapping[str, str], paths: tuple[str, ...] | None = None) -> Settings:
    """Everything but flags. ``InvalidInput`` names the file, or the variable, and the key at fault."""
    settings = Settings()
    for path in files() if paths is None else paths:
        _read(settings, path)
    for key in KEYS:
        given = environment.get(key.variable)
        if given:
            settings.put(key.name, _from_text(key, given), key.variable)
    return settings


def _from_text(key: Key, text: str) -> object:
    """What a variable's text stands for; the text itself where it stands for nothing."""
    match key.kind:
        case "flag":
            return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
        case "seconds":
            digits = text.replace(".", "", 1)
            return float(text) if digits.isascii() and digits.isdecimal() else text
        case "count":
            return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else text
        case _:
            return text


def _read(settings: Settings, path: str) -> None:
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    if not raw.strip():
        return
    import tomllib  # 20 ms: only for those who have a file

    try:
        document = tomllib.loads(raw.decode())
    except ValueError as error:
        raise InvalidInput(f"{path} is not TOML: {error}") from None
    _take(settings, path, document, "")


def _take(settings: Settings, path: str, table: dict[str, Any], prefix: str) -> None:
    for key, value in table.items():
        name = prefix + key
        if isinstance(value, dict) and any(known.startswith(name + ".") for known in _KEYS):
            _take(settings, path, value, name + ".")
        else:
            settings.put(name, value, path)
