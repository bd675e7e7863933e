"""Print constraints with which pip keeps the system's packages.

    python scripts/lib/hold_system_packages.py REPORT CONSTRAINTS >HELD

Run by the virtual environment's Python. REPORT is the report of
`pip install --dry-run --ignore-installed --report` with CONSTRAINTS. Compiled packages of the system, such as
picamera2, need the numpy that they were compiled for. Its version is held if the program can use it; packages
that need a newer numpy lose their constraint, so that pip finds an older version of them. Other packages are
held unless something needs a newer version, which is then installed in the virtual environment only.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from pip._vendor.packaging.requirements import Requirement

COMPILED_AGAINST = "numpy"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A package that would be installed, what it requires, and whether it is the program itself."""

    name: str
    requires: tuple[Requirement, ...]
    is_ours: bool


def hold(constraints: Iterable[str], wanted: Iterable[Wanted], system: Mapping[str, str]) -> list[str]:
    """Return the constraints with the system's versions, and without what those rule out."""
    packages = list(wanted)
    held: dict[str, str] = {}
    loosened: set[str] = set()
    for package in packages:
        version = system.get(package.name)
        if version is None:
            continue
        refusing = [other for other in packages if _refuses(other, package.name, version)]
        if refusing and (package.name != COMPILED_AGAINST or any(other.is_ours for other in refusing)):
            continue
        held[package.name] = version
        loosened |= {other.name for other in refusing}
    kept = [line for line in constraints if _name(line.partition("==")[0]) not in loosened | held.keys()]
    return kept + [f"{name}=={version}" for name, version in sorted(held.items())]


def _refuses(package: Wanted, name: str, version: str) -> bool:
    return any(
        _name(need.name) == name and not need.specifier.contains(version, prereleases=True)
        for need in package.requires
    )


def read_report(report: Mapping[str, Any]) -> list[Wanted]:
    """Return the packages of pip's report. Only requirements that hold here and now count."""
    return [_wanted(item) for item in report["install"]]


def _wanted(item: Mapping[str, Any]) -> Wanted:
    described = item["metadata"]
    extras = ["", *item.get("requested_extras", ())]
    needs = [Requirement(line) for line in described.get("requires_dist", ())]
    return Wanted(
        name=_name(described["name"]),
        requires=tuple(need for need in needs if _counts(need, extras)),
        is_ours="dir_info" in item["download_info"],
    )


def _counts(need: Requirement, extras: Iterable[str]) -> bool:
    return need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras)


def system_packages() -> dict[str, str]:
    """Return name and version of what this environment sees outside itself; the first found counts."""
    folders = [place for place in sys.path if not Path(place).is_relative_to(sys.prefix)]
    found: dict[str, str] = {}
    for package in metadata.distributions(path=folders):
        if package.metadata["Name"]:
            found.setdefault(_name(package.metadata["Name"]), package.version)
    return found


def _name(written: str) -> str:
    return re.sub(r"[-_.]+", "-", written.strip()).lower()


def main() -> None:
    """Read, decide, print."""
    report = json.loads(Path(sys.argv[1]).read_text())
    constraints = [line for line in Path(sys.argv[2]).read_text().splitlines() if line and line[0] != "#"]
    print("\n".join(hold(constraints, read_report(report), system_packages())))


if __name__ == "__main__":
    main()
