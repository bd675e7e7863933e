"""The system's Python, which an upgrade to the next Debian replaces."""

from __future__ import annotations

import re
from pathlib import Path


def system_python(root: Path = Path("/")) -> str | None:
    """Return major and minor version of /usr/bin/python3 by its link's target; None without one.

    Debian's package python3-minimal links it to the release's version, such as `python3.11`.
    """
    try:
        target = (root / "usr/bin/python3").resolve(strict=True)
    except OSError:
        return None
    found = re.fullmatch(r"python(\d+\.\d+)", target.name)
    return found[1] if found else None
