"""``carob completion``: scripts for shells, made from the verbs' declarations."""

from __future__ import annotations

from carob.cli.commands import VERBS, Verb
from carob.cli.options import GLOBAL, Arguments, Command, Option, UsageError
from carob.cli.output import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from carob.cli.context import Context

SHELLS = ("bash", "zsh", "fish")
COMMAND = Command(
    "completion",
    "print a script that completes carob's command line",
    "bash|zsh|fish",
    least=1,
    most=1,
    details="""\
bash: source <(carob completion bash)
zsh:  source <(carob completion zsh)
fish: carob completion fish | source""",
)
_PODS = ("run-prepared", "status", "cat-manifest", "logs", "enter", "stop", "rm")
"""Verbs that take pods."""
_IMAGES = ("run", "prepare", "image rm")
"""Verbs that take images."""
_UUIDS = "carob list --full --no-legend 2>/dev/null | grep -o '^[0-9a-f-]\\{36\\}'"
_NAMES = "carob image list --no-legend 2>/dev/null | cut -d ' ' -f 1"


def run(arguments: Arguments, context: Context) -> int:
    """Prints the script."""
    shell = arguments.words[0]
    if shell not in SHELLS:
        raise UsageError(f"no completion for {shell!r}", hint=f"there is one for {', '.join(SHELLS)}")
    if shell == "fish":
        write(_fish())
    else:
        start = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
        write(start + _bash())
    return 0


def _options(command: Command) -> list[Option]:
    unique = {option.name: option for option in (*command.options, *command.apps, *GLOBAL)}
    return list(unique.values())


def _bash() -> str:
    firsts = sorted({name.split()[0] for name in VERBS})
    cases = []
    for name in VERBS:
        words = [option.name for option in _options(Verb(name).command)]
        if name == "completion":
            words += SHELLS
        dynamic = f" $({_UUIDS})" if name in _PODS else f" $({_NAMES})" if name in _IMAGES else ""
        cases.append(f'        "{name}") words="{" ".join(words)}{dynamic}" ;;')
    seconds = " ".join(name.split()[1] for name in VERBS if " " in name)
    return f"""\
_carob() {{
    local word verb="" words="" i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        case $word in
            --dir) ((i++)) ;;
            --) COMPREPLY=(); return ;;
            -*) ;;
            image) if [[ -z $verb ]]; then verb=image; fi ;;
            *) if [[ -z $verb ]]; then verb=$word; elif [[ $verb == image ]]; then verb="image $word"; fi ;;
        esac
    done
    case $verb in
        "") words="{" ".join(firsts)} {" ".join(option.name for option in GLOBAL)}" ;;
        image) words="{seconds}" ;;
{chr(10).join(cases)}
    esac
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
    [[ ${{#COMPREPLY[@]}} -gt 0 ]] || COMPREPLY=($(compgen -f -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _carob carob
"""


def _fish() -> str:
    lines = ["complete -c carob -f"]
    lines += [_fish_option(option, "") for option in GLOBAL]
    for name in VERBS:
        command = Verb(name).command
        first, _, second = name.partition(" ")
        if not second:
            lines.append(
                f"complete -c carob -n __fish_use_subcommand -a {first} -d {_quoted(command.summary)}"
            )
        else:
            lines.append(f"complete -c carob -n __fish_use_subcommand -a {first}")
            lines.append(
                f"complete -c carob -n '__fish_seen_subcommand_from {first}' -a {second}"
                f" -d {_quoted(command.summary)}"
            )
        seen = f"__fish_seen_subcommand_from {second or first}"
        lines += [_fish_option(option, seen) for option in (*command.options, *command.apps)]
        dynamic = _UUIDS if name in _PODS else _NAMES if name in _IMAGES else ""
        if dynamic:
            lines.append(f"complete -c carob -n '{seen}' -a {_quoted(f'({dynamic})')}")
        elif name == "completion":
            lines.append(f"complete -c carob -n '{seen}' -a '{' '.join(SHELLS)}'")
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _fish_option(option: Option, seen: str) -> str:
    parts = ["complete -c carob", f"-n '{seen}'" if seen else "", f"-l {option.name[2:]}"]
    parts += [f"-s {option.short[1:]}" if option.short else ""]
    if option.choices:
        parts.append(f"-x -a '{' '.join(option.choices)}'")
    elif option.value and not option.optional:
        parts.append("-r -F" if option.value in ("FILE", "PATH") else "-x")
    parts.append(f"-d {_quoted(option.help)}")
    return " ".join(part for part in parts if part)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
