"""The versions that are installed are those that these tests run with."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"(?m)^([a-z0-9-]+)==(\S+)")


def pinned(path: Path) -> dict[str, str]:
    return dict(PINNED.findall(path.read_text()))


CONSTRAINTS = pinned(ROOT / "packaging/constraints.txt")


def in_use() -> dict[str, str]:
    """The constraints of this environment: others where it leaves the system's packages as they are."""
    own = Path(sys.prefix) / "held.txt"
    return pinned(own) if own.exists() else CONSTRAINTS


def needed(name: str, extras: tuple[str, ...], seen: set[tuple[str, str]]) -> Iterator[str]:
    """Names of what a package needs here, and all that those need."""
    for line in metadata.requires(name) or ():
        requirement = re.match(r"([A-Za-z0-9_.-]+)(?:\[([a-z,]+)\])?", line)
        assert requirement is not None
        wanted = re.search(r"extra == ['\"]([a-z]+)['\"]", line)
        if wanted and wanted[1] not in extras:
            continue
        found = re.sub(r"[-_.]+", "-", requirement[1]).lower()
        more = requirement[2] or ""
        if (found, more) in seen or not _is_here(found):
            continue
        seen.add((found, more))
        yield found
        yield from needed(found, tuple(more.split(",")), seen)


def _is_here(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False  # its marker is another Python's or system's
    return True


@pytest.mark.parametrize("name", sorted(set(needed("edge-daemon", ("dev",), set())) - {"edge-daemon", "pip"}))
def test_every_package_is_pinned_to_the_version_that_is_here(name: str) -> None:
    assert in_use()[name] == metadata.version(name)


@pytest.mark.parametrize("path", ["packaging/wheels.txt", "scripts/device_box/requirements/wheelhouse.txt"])
def test_the_other_lists_agree(path: str) -> None:
    listed = pinned(ROOT / path)
    assert listed == {name: CONSTRAINTS[name] for name in listed}
