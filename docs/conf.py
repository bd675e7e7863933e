"""Settings of the documentation site; `scripts/docs` builds it."""

from __future__ import annotations

import re
from pathlib import Path

_PACKAGE = Path(__file__).parents[1] / "edge_daemon" / "__init__.py"

project = "edge_daemon"
release = re.findall(r'^__version__ = "(.*)"$', _PACKAGE.read_text(encoding="utf-8"), re.MULTILINE)[0]
language = "en"
extensions = ["myst_parser"]
myst_heading_anchors = 4
"""Headings down to this level can be linked to; a link to any other anchor is a warning."""

nitpicky = True
highlight_language = "none"
"""A code block without a language is plain text, not Python."""

html_theme = "furo"
html_title = f"edge_daemon {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
