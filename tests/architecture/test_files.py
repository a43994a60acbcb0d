"""What every file of the project must and must not hold."""

from __future__ import annotations

import re

import pytest

from tests.architecture.sources import ROOT, files_of_the_project

# The machine chooses where packages come from; no file of the project names a place. Nor does any
# file know where its authors keep their checkouts. The words are put together here, so that this
# file does not hold them itself.
HOSTS = (
    "pypi" + ".org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "proxy.gol" + "ang.org",
    "deb.deb" + "ian.org",
)
PLACES = (
    r"(?<![\w.})/~-])/wo" + r"rk/",
    r"\.\./sha" + r"red\b",
    r"(?<![\w.])/opt/py" + "pi",
    r"/ro" + r"ot/\.pyenv",
)

LAYOUT = (
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "Makefile",
    "pyproject.toml",
    "src/carob/py.typed",
    ".ci/run",
)


@pytest.mark.parametrize("words", [tuple(re.escape(host) for host in HOSTS), PLACES], ids=["hosts", "places"])
def test_no_file_names_a_place(words: tuple[str, ...]) -> None:
    pattern = re.compile("|".join(words), re.IGNORECASE)
    found = []
    for path in files_of_the_project():
        text = path.read_bytes().decode("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), 1):
            if match := pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match[0]}")
    assert not found, "\n".join(found)


def test_what_a_project_consists_of_is_there() -> None:
    assert [name for name in LAYOUT if not (ROOT / name).is_file()] == []


def test_locks_pin_every_package_with_hashes() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text().replace("\\\n", " ")
        lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        assert lines
        bad = [line for line in lines if not re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)]
        assert not bad, f"{name}: {bad}"


def test_tests_lock_holds_all_of_the_users_lock() -> None:
    user, dev = (
        set(re.findall(r"^([a-z0-9-]+==\S+)", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-dev.lock")
    )
    assert user <= dev


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = []
    for path in files_of_the_project():
        if path.suffix != ".md":
            continue
        text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            file, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            other = (path.parent / file) if file else path
            if not other.exists():
                broken.append(f"{path.relative_to(ROOT)}: {target}")
            elif (
                anchor and other.suffix == ".md" and anchor not in _anchors(other.read_text(encoding="utf-8"))
            ):
                broken.append(f"{path.relative_to(ROOT)}: {target} (no such heading)")
    assert not broken, "\n".join(broken)


def _anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as its usual renderers make them."""
    headings = re.findall(r"^#+ (.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_document_of_docs_is_linked_from_another() -> None:
    documents = [path for path in files_of_the_project() if path.suffix == ".md"]
    linked = set()
    for path in documents:
        for target in re.findall(r"\]\(([^)\s#]+)", path.read_text(encoding="utf-8")):
            linked.add((path.parent / target).resolve())
    alone = [
        str(path.relative_to(ROOT))
        for path in documents
        if path.is_relative_to(ROOT / "docs") and path.resolve() not in linked and path.name != "README.md"
    ]
    assert not alone, "reached from nowhere: " + ", ".join(alone)
