"""Results as a table for people, as a table for the documentation, and as JSON."""

from __future__ import annotations

import json
import os

from bench.figure import Figure, Results

_HEADINGS = ("what", "mode", "ours", "peer", "peer's", "ratio", "spread", "target", "met")
_RIGHT = {2, 4, 5}
_BEGIN = "<!-- figures: begin; written by `python -m bench --markdown` -->"
_END = "<!-- figures: end -->"


def _row(figure: Figure) -> tuple[str, ...]:
    ratio, spread = figure.ratio, figure.ratio_spread
    return (
        figure.what,
        figure.mode or "-",
        _amount(figure.ours.median, figure.unit),
        figure.peer or "-",
        _amount(figure.theirs.median, figure.unit) if figure.theirs else "-",
        _ratio(ratio) if ratio is not None else "-",
        f"{_ratio(spread[0])} to {_ratio(spread[1])}" if spread else _spread_of_ours(figure),
        figure.target.text(figure.unit) if figure.target else "-",
        {True: "yes", False: "no", None: "-"}[figure.met],
    )


def _amount(value: float, unit: str) -> str:
    digits = 3 if value < 1 else 2 if value < 10 else 1
    return f"{value:.{digits}f} {unit}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _spread_of_ours(figure: Figure) -> str:
    first, third = figure.ours.quartiles
    return f"{_amount(first, '').strip()} to {_amount(third, '').strip()} {figure.unit}"


def table(results: Results) -> str:
    """Aligned columns; the spread is between the quartiles of the pairs' ratios, or of ours alone."""
    rows = [_HEADINGS, *(_row(figure) for figure in results.figures)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEADINGS))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if at in _RIGHT else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines += [f"note: {note}" for note in _notes(results)]
    lines += [f"skipped: {one.what}: {one.reason}" for one in results.skipped]
    return "\n".join(lines)


def _notes(results: Results) -> list[str]:
    return list(dict.fromkeys(figure.note for figure in results.figures if figure.note))


def markdown(results: Results) -> str:
    """The figures as a section for docs/explanation/performance.md."""
    machine = ", ".join(f"{key} {value}" for key, value in results.machine.items() if value and key != "load")
    load = results.machine.get("load")
    lines = [f"Measured on: {machine}.", ""]
    if isinstance(load, list):
        lines[0] += f" Load average at the beginning: {load[0]:.2f}."
    lines.append("| " + " | ".join(_HEADINGS) + " |")
    lines.append("|" + "|".join(" ---: " if at in _RIGHT else " --- " for at in range(len(_HEADINGS))) + "|")
    lines += ["| " + " | ".join(_row(figure)) + " |" for figure in results.figures]
    extra = _notes(results) + [f"Not measured: {one.what} ({one.reason})." for one in results.skipped]
    return "\n".join([*lines, *(["", *(f"- {line}" for line in extra)] if extra else [])])


def write_json(results: Results, path: str) -> None:
    """Writes all samples to a file."""
    with open(path, "w") as file:
        json.dump(results.document(), file, indent=1, ensure_ascii=False)
        file.write("\n")


def write_markdown(results: Results, path: str) -> None:
    """Replaces the section between the two marks of a page; ``ValueError`` where it has none."""
    with open(path) as file:
        text = file.read()
    if _BEGIN not in text or _END not in text:
        raise ValueError(f"{path} has no place for figures: {_BEGIN} … {_END}")
    before, _, rest = text.partition(_BEGIN)
    after = rest.partition(_END)[2]
    temporary = f"{path}.tmp"
    with open(temporary, "w") as file:
        file.write(f"{before}{_BEGIN}\n\n{markdown(results)}\n\n{_END}{after}")
    os.replace(temporary, path)
