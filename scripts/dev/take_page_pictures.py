"""Take the pictures of the page in docs/: of `edge-daemon try`, before drawn objects.

    .venv/bin/python -m scripts.dev.take_page_pictures

The font of the page is Inter where it is installed (Debian: fonts-inter).
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import expect

from tests.harness.browser import BrowserWindow, chromium
from tests.harness.web_harness import OWN_HEADERS, still

ROOT = Path(__file__).resolve().parents[2]
SIZE = (640, 480)
TAUGHT = {"gear": 6, "mug": 6, "key": 6, "leaf": 3}
SHOWN = ("gear", "lemon", "key", "leaf", "mug")
"""Shown in turn, each in a variation that is not taught; the lemon is unknown, the mug is in the pictures."""
COLOURS = 256
BINARY = {"content-type": "application/octet-stream"}


def picture(kind: str, variation: int) -> bytes:
    """Return a drawn object as PNG."""
    content = io.BytesIO()
    Image.fromarray(still(kind, variation, SIZE)).save(content, "PNG")
    return content.getvalue()


def teach(page: str) -> None:
    """Teach the drawn objects as picture files."""
    with httpx.Client(base_url=page, headers=OWN_HEADERS, timeout=60) as client:
        for label, count in TAUGHT.items():
            for variation in range(count):
                query = {"label": label, "name": f"{label}{variation}.png", "batch": label}
                content = picture(label, variation)
                client.post("/api/picture", params=query, content=content, headers=BINARY).raise_for_status()


def take(page: str, folder: Path) -> None:
    """Write a picture of each size once every object was in view and the mug is again."""
    with chromium() as browser:
        windows = {
            name: BrowserWindow(browser, size) for name, size in (("desktop", "desk"), ("phone", "phone"))
        }
        for window in windows.values():
            window.open(page)
        for label in (*(each for each in SHOWN if each in TAUGHT), "mug"):
            expect(windows["desktop"].page.locator(".label")).to_have_text(label, timeout=60_000)
        for name, window in windows.items():
            window.wait_for_label("mug")
            window.page.wait_for_timeout(1500)  # the smoothed label, the nearest examples and the history
            shot = Image.open(io.BytesIO(window.page.screenshot())).convert("RGB")
            shot.quantize(COLOURS, dither=Image.Dither.NONE).save(folder / f"page-{name}.png", optimize=True)
            window.close()


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        for number, kind in enumerate(SHOWN):
            (Path(folder) / f"{number}-{kind}.png").write_bytes(picture(kind, 7))
        command = [sys.executable, "-m", "edge_daemon", "try", "--json", "--pictures", folder]
        command += ["--set", "device.name=Sorter 1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            page = json.loads(process.stdout.readline())["page"]
            try:
                teach(page)
                take(page, ROOT / "docs")
            finally:
                process.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
