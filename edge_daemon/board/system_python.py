"""The Python of the system, which an upgrade from one Debian to the next replaces."""

from __future__ import annotations

import re
from pathlib import Path


def system_python(root: Path = Path("/")) -> str | None:
    """Return major and minor version of /usr/bin/python3, by the name it is a link to; None if there is none.

    Debian's package python3-minimal has it as a link to `python3.11` or whichever is the release's.
    """
    try:
        target = (root / "usr/bin/python3").resolve(strict=True)
    except OSError:
        return None
    found = re.fullmatch(r"python(\d+\.\d+)", target.name)
    return found[1] if found else None
