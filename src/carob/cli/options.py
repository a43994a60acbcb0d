"""Options as tables, and the one parser of them.

A verb declares what it takes; parsing, help, completion and the reference page all come from that.
(argparse would cost more than a whole ``carob list``.)
"""

from __future__ import annotations

from carob.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class UsageError(InvalidInput):
    """The command line is wrong."""

    kind = "usage"


class Option:
    """One option: ``name`` with its dashes, perhaps a ``short`` one, and ``help``.

    ``value`` names what it takes (``"FILE"``); without it the option is a switch. ``many``: may be given
    several times. ``optional``: the value may be left out, and is otherwise joined with ``=``. ``choices``
    are all values allowed, if there are any.
    """

    __slots__ = ("choices", "help", "many", "name", "optional", "short", "value")

    def __init__(
        self,
        name: str,
        help: str,  # noqa: A002 - what it is
        value: str = "",
        *,
        short: str = "",
        many: bool = False,
        optional: bool = False,
        choices: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.help = help
        self.value = value
        self.short = short
        self.many = many
        self.optional = optional
        self.choices = choices

    def __repr__(self) -> str:
        return f"<Option {self.name}>"


class Command:
    """One verb: ``name``, ``summary``, ``words`` (what it takes beside options, for people), ``options``.

    ``least`` and ``most`` are how many words it takes; ``most`` is ``None`` for any number. After
    ``verbatim_after`` words the rest is taken as it is. ``details`` is more help; ``apps`` are the options
    of each app, for verbs with rkt's app grammar (``carob.cli.app_grammar``); with ``one_app`` there is but
    one, so that its options may stand anywhere.
    """

    __slots__ = (
        "apps", "details", "least", "most", "name", "one_app", "options", "summary",
        "verbatim_after", "words",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        summary: str,
        words: str = "",
        *,
        options: tuple[Option, ...] = (),
        least: int = 0,
        most: int | None = 0,
        verbatim_after: int | None = None,
        details: str = "",
        apps: tuple[Option, ...] = (),
        one_app: bool = False,
    ) -> None:
        self.name = name
        self.summary = summary
        self.words = words
        self.options = options
        self.least = least
        self.most = most
        self.verbatim_after = verbatim_after
        self.details = details
        self.apps = apps
        self.one_app = one_app


GLOBAL = (
    Option("--dir", "the data directory (default: CAROB_DIR, or as configured)", "PATH"),
    Option("--debug", "say on standard error what is done, when, and with which runtime commands"),
    Option("--help", "show this help", short="-h"),
)
FORMAT = Option("--format", "print this instead of text", "FORMAT", choices=("json", "json-pretty"))


class Arguments:
    """What was given: the ``words`` and the options' values."""

    __slots__ = ("_values", "words")

    def __init__(self) -> None:
        self._values: dict[str, list[str]] = {}
        self.words: list[str] = []

    def put(self, option: Option, value: str) -> None:
        """Adds one given option, with its value (``""`` for none)."""
        given = self._values.setdefault(option.name, [])
        if given and option.value and not option.many:
            given[:] = [value]
        else:
            given.append(value)

    def has(self, name: str) -> bool:
        """Whether the option was given."""
        return name in self._values

    def text(self, name: str) -> str:
        """The value of an option, the last where it was given again; ``""`` where it was not given."""
        return self._values.get(name, [""])[-1]

    def texts(self, name: str) -> list[str]:
        """All values of an option that may be given several times."""
        return self._values.get(name, [])


class Tokens:
    """The words of a command line, taken one by one."""

    __slots__ = ("_at", "_words")

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._at = 0

    def more(self) -> bool:
        """Whether there is another one."""
        return self._at < len(self._words)

    def take(self) -> str:
        """The next one."""
        word = self._words[self._at]
        self._at += 1
        return word

    def peek(self) -> str:
        """The next one, left where it is."""
        return self._words[self._at]

    def rest(self) -> list[str]:
        """All that are left."""
        rest = list(self._words[self._at :])
        self._at = len(self._words)
        return rest


def by_name(options: Sequence[Option]) -> dict[str, Option]:
    """The options by each of their names."""
    found = {option.name: option for option in options}
    found.update({option.short: option for option in options if option.short})
    return found


def is_option(word: str) -> bool:
    """Whether a word of the command line is an option: ``-`` alone is a word like any other."""
    return word.startswith("-") and word not in ("-", "--", "---")


def take_options(word: str, tokens: Tokens, known: Mapping[str, Option]) -> list[tuple[Option, str]]:
    """The options in ``word``, which is one, with their values; a value may be the next token.

    ``-f``, ``-fq`` (two switches), ``-n5``, ``-n 5``, ``--tail=5``, ``--tail 5``. Raises ``UsageError``.
    """
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return [_taken(_known(name, known), name, value if equals else None, tokens)]
    found = []
    rest = word[1:]
    while rest:
        name, rest = "-" + rest[0], rest[1:]
        option = _known(name, known)
        value_here = rest.removeprefix("=") if option.value and rest else None
        found.append(_taken(option, name, value_here, tokens))
        if value_here is not None:
            break
    return found


def _known(name: str, known: Mapping[str, Option]) -> Option:
    option = known.get(name)
    if option is None:
        from carob.cli.suggestions import nearest

        raise UsageError(f"unknown option {name}", hint=nearest(name, known))
    return option


def _taken(option: Option, name: str, value: str | None, tokens: Tokens) -> tuple[Option, str]:
    if not option.value:
        if value is not None:
            raise UsageError(f"{name} takes no value")
        return option, ""
    if value is None and option.optional:
        return option, ""
    if value is None:
        if not tokens.more():
            raise UsageError(f"{name} needs a value: {name} {option.value}")
        value = tokens.take()
    if not value:  # mostly a variable of a script that is not set: it must not come to mean the default
        raise UsageError(
            f"{name} is given an empty value", hint=f"leave {name} out, or give it {option.value}"
        )
    if option.choices and value not in option.choices:
        raise UsageError(f"{name} is {' or '.join(option.choices)}, not {value!r}")
    return option, value


def parse(command: Command, words: Sequence[str]) -> Arguments:
    """What was given to ``command``; ``--help`` makes all else count for nothing. Raises ``UsageError``."""
    known = by_name((*command.options, *GLOBAL))
    arguments = Arguments()
    tokens = Tokens(words)
    while tokens.more():
        word = tokens.take()
        if word == "--":
            arguments.words += tokens.rest()
        elif is_option(word):
            for option, value in take_options(word, tokens, known):
                arguments.put(option, value)
        else:
            arguments.words.append(word)
            if len(arguments.words) == command.verbatim_after:
                rest = tokens.rest()
                arguments.words += rest[1:] if rest[:1] == ["--"] else rest
    if not arguments.has("--help"):
        _check_count(command, arguments.words)
    return arguments


def _check_count(command: Command, words: list[str]) -> None:
    usage = f"usage: carob {command.name} {command.words}".rstrip()
    if len(words) < command.least:
        raise UsageError(f"carob {command.name} needs {command.words}", hint=usage)
    if command.most is not None and len(words) > command.most:
        raise UsageError(f"carob {command.name}: unexpected {words[command.most]!r}", hint=usage)
