"""The commands, options, keys and configurations that the documentation shows are those of the program."""

from __future__ import annotations

import contextlib
import io
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_daemon.cli.main import main
from edge_daemon.config.schema import Config, load_config

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
SOURCES = sorted(path for path in (ROOT / "edge_daemon").rglob("*.py") if "edge-daemon " in path.read_text())
SCRIPTS = [ROOT / "scripts/install", ROOT / "scripts/run", *sorted((ROOT / "scripts/lib").glob("*.sh"))]
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

COMMAND = re.compile(r"(?<![\w./-])(?<!-u )(?:[\w./-]*/bin/)?edge-daemon ((?:[^`\n#|&;\\]|\\\n)+)")
EXTRA = re.compile(r"(?:edge-daemon\[|pip_install\(['\"])([a-z,]+)['\"\]]")
KEY = re.compile(r"`([a-z]+(?:\.[a-z_]+)+)(?=[`:])")
YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CHANGE = re.compile(r"config set ((?:[a-z_]+\.[a-z_]+=[\w.:-]+ ?)+)")
COMMON = {"--config", "--set", "--json", "--debug", "--help", "--version"}


@cache
def help_of(words: tuple[str, ...]) -> str:
    """Return the output of `--help` after these words. Raises SystemExit(2) if they are no command."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            main([*words, "--help"])
        except SystemExit as end:
            if end.code:
                raise
    return out.getvalue()


def actions_of(command: str) -> set[str]:
    found = re.search(r"^positional arguments:\n  ACTION\n((?:    .*\n)+)", help_of((command,)), re.MULTILINE)
    return set(re.findall(r"^    (\w+)", found[1], re.MULTILINE)) if found else set()


def commands_of() -> set[str]:
    return set(re.findall(r"^    (\w+) ", help_of(()), re.MULTILINE))


@pytest.mark.parametrize("page", [*PAGES, *SOURCES, *SCRIPTS], ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_exist(page: Path) -> None:
    """A hint that the program prints is held to the same as a page."""
    for line in COMMAND.findall(page.read_text()):
        words = [word.strip("[],.:()") for word in line.split()]
        if not words or words[0] not in commands_of():
            assert not set(words[1:]) & COMMON, f"no such command: edge-daemon {line}"
            continue
        path: tuple[str, ...] = (words[0],)
        if actions := actions_of(words[0]):
            action = next((word for word in words[1:] if not word.startswith("-")), "")
            path = (words[0], action) if action in actions else path
        for option in (word.split("=")[0] for word in words if word.startswith("--")):
            assert option in COMMON or re.search(rf"(?m)^\s+{option}\b", help_of(path)), (line, option)


def test_changes_of_the_configuration_are_accepted(tmp_path: Path) -> None:
    """As `config set` is shown on a page, in a hint of the program and by the installer."""
    changes = {
        change
        for path in [*PAGES, *SOURCES, *SCRIPTS]
        for found in CHANGE.findall(path.read_text().replace("$(free_page_port)", "8080"))
        for change in found.split()
    }
    assert {"web.listen=8080", "camera.type=v4l2", "mqtt.host=broker.local"} <= changes
    for number, change in enumerate(sorted(changes)):
        path = tmp_path / f"{number}.yaml"
        path.write_text((ROOT / "config/default.yaml").read_text())
        assert main(["config", "set", "--config", str(path), change]) == 0


def test_pages_call_the_program_by_its_name_alone() -> None:
    """One way, after the activation that README and the first hour show."""
    for page in PAGES:
        assert ".venv/bin/edge-daemon" not in page.read_text(), page
    for page in (ROOT / "README.md", ROOT / "docs/first-hour.md"):
        assert "\n. .venv/bin/activate" in page.read_text()


def test_extras_that_pages_and_hints_name_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    paths = [*PAGES, *(ROOT / "edge_daemon").rglob("*.py")]
    named = {
        extra for path in paths for found in EXTRA.findall(path.read_text()) for extra in found.split(",")
    }
    assert {"arcade", "usb", "web"} <= named <= set(project["optional-dependencies"])
    kept = re.findall(r"extras\+=,(\w+)", (ROOT / "scripts/install").read_text())
    assert {"arcade", "heic", "usb"} == set(kept) <= set(project["optional-dependencies"])


def resolve(kind: Any, keys: list[str]) -> bool:
    """Return True if a dotted key leads to a field of the configuration, in any of a section's types."""
    info = msgspec.inspect.type_info(kind) if isinstance(kind, type) else kind
    if isinstance(info, msgspec.inspect.UnionType):
        return any(resolve(each, keys) for each in info.types)
    if isinstance(info, msgspec.inspect.Metadata):
        return resolve(info.type, keys)
    if not keys:
        return True
    if isinstance(info, msgspec.inspect.VarTupleType):
        return resolve(info.item_type, keys)
    if not isinstance(info, msgspec.inspect.StructType):
        return False
    tags = {info.tag_field}
    return keys[0] in tags or any(
        resolve(field.type, keys[1:]) for field in info.fields if field.name == keys[0]
    )


@EVERY_PAGE
def test_configuration_keys_exist(page: Path) -> None:
    sections = set(Config.__struct_fields__)
    for key in KEY.findall(page.read_text()):
        if key.split(".")[0] in sections and not key.endswith((".sqlite", ".yaml", ".json", ".md")):
            assert resolve(Config, key.split(".")), key


def examples() -> list[tuple[str, str]]:
    return [(page.name, text) for page in PAGES for text in YAML.findall(page.read_text())]


@pytest.mark.parametrize(
    ("page", "text"), examples(), ids=lambda value: value if value.endswith(".md") else ""
)
def test_example_configurations_are_accepted(tmp_path: Path, page: str, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    load_config(path)
