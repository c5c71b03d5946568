"""Draw the modules in CONTRIBUTING.md from their imports.

    python -m tests.module_map

A room is a folder, a module beside the folders, or the command of a folder (`__main__`). Each block lists a
package's rooms, importers first, so that a room imports only rooms below it; a name with "↑" breaks that rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.test_boundaries import MAY_IMPORT, ROOT, all_imports, files

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- modules:begin -->", "<!-- modules:end -->"
PACKAGES = tuple(MAY_IMPORT)


def room(parts: tuple[str, ...]) -> str:
    """The room of a module with these parts of its name: "search/running/" or "search/launch"."""
    package, *rest = parts
    if not rest or rest[-1] == "__main__":
        return "/".join(parts)
    return f"{package}/{rest[0]}/" if (ROOT / package / rest[0]).is_dir() else f"{package}/{rest[0]}"


def arrows() -> dict[str, set[str]]:
    """The rooms that each room imports, over all packages."""
    drawn: dict[str, set[str]] = {}
    for path in files(*PACKAGES):
        parts = path.relative_to(ROOT).with_suffix("").parts
        here = room(tuple(part for part in parts if part != "__init__"))
        there = {room(tuple(name.split("."))) for name in all_imports(path) if name.split(".")[0] in PACKAGES}
        drawn.setdefault(here, set()).update(there - {here})
    return drawn


def package_of(name: str) -> str:
    return name.partition("/")[0]


def overview(drawn: dict[str, set[str]]) -> Iterator[str]:
    """The packages as a Mermaid graph."""
    pairs = {(package_of(a), package_of(b)) for a, known in drawn.items() for b in known}
    yield "```mermaid\ngraph TD"
    yield from (f"    {a} --> {b}" for a, b in sorted(pairs) if a != b)
    yield "```"


def importers_first(known: dict[str, list[str]]) -> list[str]:
    """The rooms in an order in which each stands above those that it imports, as far as there is one."""
    finished: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name not in seen:
            seen.add(name)
            for below in known[name]:
                visit(below)
            finished.append(name)

    for name in sorted(known, key=lambda name: (-len(known[name]), name), reverse=True):
        visit(name)
    return finished[::-1]


def inside(package: str, drawn: dict[str, set[str]]) -> Iterator[str]:
    """The rooms of one package, importers first, each with the rooms of this package that it imports."""
    rooms = [name for name in sorted(drawn) if package_of(name) == package and name != package]
    known = {name: sorted(drawn[name] & set(rooms)) for name in rooms}
    order = importers_first(known)
    short = {name: name.removeprefix(f"{package}/") for name in order}
    width = max(map(len, short.values()), default=0)
    yield f"```text\n{package}/"
    for i, name in enumerate(order):
        below = [short[other] if j > i else f"↑{short[other]}" for j, other in enumerate(order) if other in known[name]]
        yield f"  {short[name]:<{width}}  → {' '.join(below)}" if below else f"  {short[name]}"
    yield "```"


def drawing() -> str:
    drawn = arrows()
    blocks = [overview(drawn), *(inside(package, drawn) for package in PACKAGES)]
    return "\n\n".join("\n".join(block) for block in blocks)


def replaced(text: str) -> str:
    """The text with the drawing between its two comments."""
    return re.sub(f"(?s){BEGIN}.*{END}", f"{BEGIN}\n{drawing()}\n{END}", text)


def main() -> None:
    CONTRIBUTING.write_text(replaced(CONTRIBUTING.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
