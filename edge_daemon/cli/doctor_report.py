"""The doctor's report: one text file about the device, without secrets, to send to someone who helps."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from edge_daemon import __version__
from edge_daemon.benchmark.report import machine
from edge_daemon.camera.stream import CAMERA_PASSWORD
from edge_daemon.cli.checks.check import Check
from edge_daemon.config.camera import StreamOptions
from edge_daemon.config.schema import Config
from edge_daemon.fleet.key import FLEET_KEY
from edge_daemon.mqtt.credentials import MQTT_PASSWORD
from edge_daemon.system.atomic_file import rewritten_file
from edge_daemon.system.redaction import LEFT_OUT, redact, redact_data
from edge_daemon.system.regular_file import read_regular, without_bom
from edge_daemon.system.secrets import CREDENTIALS_DIRECTORY
from edge_daemon.web.auth import WEB_TOKEN

REPORT_MARK = b"Read it before you send it."
"""Text in the head of a report; only an earlier report is replaced."""

LOG_LINES = 200
MIN_SECRET = 4
"""Characters. A shorter secret can be part of any word and is only masked by its name."""

PACKAGES = (
    "ai-edge-litert",
    "numpy",
    "picamera2",
    "gpiozero",
    "lgpio",
    "paho-mqtt",
    "pillow",
    "msgspec",
    "starlette",
)
CREDENTIALS = "etc/edge_daemon/credentials"
BOOT_CONFIG = "boot/firmware/config.txt"
_JOURNAL = ("journalctl", "--unit=edge-daemon", f"--lines={LOG_LINES}", "--no-pager", "--output=short-iso")


def write_report(path: Path, checks: Sequence[Check], config: Config | None, root: Path = Path("/")) -> None:
    """Write checks, machine, settings and the end of the log to a file. Raises OutputError."""
    sections = {
        "Checks": "\n".join(_lines(checks)),
        "Machine": "\n".join(_machine(root)),
        "Settings": _settings(config),
        f"/{BOOT_CONFIG}": _boot_config(root),
        f"Log, the last {LOG_LINES} lines": _journal(),
    }
    head = f"edge-daemon {__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    head += f"\n{REPORT_MARK.decode()}"
    text = "\n\n".join([head, *(f"== {title}\n{body}" for title, body in sections.items())]) + "\n"
    secrets = known_secrets(config, os.environ, root)
    with rewritten_file(path, REPORT_MARK) as file:
        file.write(masked(text, secrets).encode(errors="backslashreplace"))


def masked(text: str, secrets: Sequence[str]) -> str:
    """Return text without the known secrets and without values that are named as secrets."""
    for secret in sorted(secrets, key=len, reverse=True):
        for form in (secret, json.dumps(secret)[1:-1]):
            text = text.replace(form, LEFT_OUT)
    return "\n".join(map(redact, text.split("\n")))


def known_secrets(config: Config | None, environment: Mapping[str, str], root: Path) -> list[str]:
    """Return the passwords, tokens and keys that this user can read."""
    kinds = (CAMERA_PASSWORD, MQTT_PASSWORD, WEB_TOKEN, FLEET_KEY)
    found = [environment[kind.variable] for kind in kinds if kind.variable in environment]
    folders = [root / CREDENTIALS]
    if given := environment.get(CREDENTIALS_DIRECTORY):
        folders.append(Path(given))
    files = [file for folder in folders if os.access(folder, os.R_OK | os.X_OK) for file in folder.iterdir()]
    if config is not None:
        camera = config.camera.password_file if isinstance(config.camera, StreamOptions) else None
        named = (camera, config.mqtt.password_file, config.web.token_file, config.fleet.key_file)
        files += [Path(file) for file in named if file is not None]
    found += [line for file in files for line in _read_secret(file).splitlines()]
    return [secret for secret in map(str.strip, found) if len(secret) >= MIN_SECRET]


def _lines(checks: Sequence[Check]) -> Iterator[str]:
    for check in checks:
        yield f"{check.state:<8}{check.name:<9}{check.detail}"
        if check.hint:
            yield f"        -> {check.hint}"


def _machine(root: Path) -> Iterator[str]:
    yield machine()
    names = [line for line in _read(root / "etc/os-release").splitlines() if line.startswith("PRETTY_NAME=")]
    yield from (name.partition("=")[2].strip('"') for name in names)
    bits = "64" if platform.architecture()[0] == "64bit" else "32"
    yield f"Linux {platform.release()}, Python {platform.python_version()} ({bits} bits)"
    for package in PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            yield f"{package} is not installed, or not by pip"


def _settings(config: Config | None) -> str:
    if config is None:
        return "not read: see the check of the configuration"
    return json.dumps(redact_data(msgspec.to_builtins(config)), indent=2, ensure_ascii=False)


def _boot_config(root: Path) -> str:
    lines = [line.strip() for line in _read(root / BOOT_CONFIG).splitlines()]
    return "\n".join(line for line in lines if line and not line.startswith("#")) or "not there"


def _journal() -> str:
    try:
        done = subprocess.run(_JOURNAL, capture_output=True, text=True, errors="replace", timeout=20)
    except (OSError, subprocess.TimeoutExpired) as exc:
        return f"can't be read: {exc}"
    return (done.stdout.strip() or done.stderr.strip()) or "empty"


def _read_secret(path: Path) -> str:
    """Return a secret's file as `read_secret` decodes it; empty for one that the device can't use either."""
    try:
        return without_bom(read_regular(path, MQTT_PASSWORD.max_bytes)).decode(errors="replace")
    except (OSError, UnicodeDecodeError):
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
