"""Fetch model files: resumed, checked by size and SHA-256, and put in place in one step."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit

from edge_daemon import __version__
from edge_daemon.domain.errors import ModelError
from edge_daemon.models.part_file import PartFile
from edge_daemon.models.registry import Manifest, RemoteFile
from edge_daemon.system.regular_file import open_regular

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with file name, bytes so far and bytes in all."""

ATTEMPTS = 4
TIMEOUT_S = 30.0
PAUSE_S = 1.0
_CHUNK = 64 * 1024
_PAGES = (b"<!doctype", b"<html", b"<?xml")
_REFUSALS = (401, 403, 404, 407, 410)


class _Broken(Exception):
    """A transfer broke off; another attempt may go on from there."""


def pull(
    manifest: Manifest,
    folder: Path,
    source: str | None = None,
    progress: Progress = lambda name, done, total: None,
    pause: Callable[[float], None] = time.sleep,
) -> Path:
    """Fetch a model (and its labels) into `folder` and return the model's path.

    `source` is a folder or an http(s) address that holds the files under their names, instead of the
    public address. Files that are there and right are left alone. Raises ModelError.
    """
    for item in manifest.files:
        target = folder / item.file
        if target.is_file() and _digest(target) == item.sha256:
            continue
        try:
            _Transfer(item, source, progress, pause).to(target)
        except OSError as exc:
            raise ModelError(f"{target}: can't be written: {exc.strerror or exc}") from exc
    return folder / manifest.file


@dataclass(frozen=True, slots=True)
class _Transfer:
    """One file on its way: what it must be, where it comes from, and who watches."""

    item: RemoteFile
    source: str | None
    progress: Progress
    pause: Callable[[float], None]

    def to(self, target: Path) -> None:
        """Put the right bytes at `target` in one step, or nothing."""
        with PartFile(target) as part:
            self._fill_right(part.file)
            part.put_in_place()
        self.progress(self.item.file, self.item.bytes, self.item.bytes)

    def _fill_right(self, file: BufferedRandom) -> None:
        """Fill `file` with the right bytes, going on from what it holds, or leave it empty."""
        resumed = _size(file) > 0
        self._fill(file)
        if resumed and self._wrong(file):
            file.truncate(0)  # What an earlier run left may be of another version.
            self._fill(file)
        if problem := self._wrong(file):
            file.truncate(0)
            raise ModelError(
                f"{self.item.file} from {self.source or self.item.url} {problem}; nothing was kept"
            )

    def _fill(self, file: BufferedRandom) -> None:
        if self.source is not None and not _is_web(self.source):
            _copy(Path(self.source) / self.item.file, file)
        else:
            self._download(self._address(), file)

    def _wrong(self, file: BufferedRandom) -> str | None:
        """Say in what a fetched file differs from its manifest."""
        if (size := _size(file)) != self.item.bytes:
            return f"has {size} bytes instead of {self.item.bytes}"
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != self.item.sha256:
            return f"is another file (SHA-256 {digest[:12]}…, not {self.item.sha256[:12]}…)"
        return None

    def _address(self) -> str:
        name = self.item.file
        if self.source is not None:
            whole = self.source.endswith(f"/{name}")
            return self.source if whole else f"{self.source.rstrip('/')}/{quote(name)}"
        if self.item.url is None:
            raise ModelError(f"{name} has no public address; it ships with the program")
        return self.item.url

    def _download(self, address: str, file: BufferedRandom) -> None:
        """Fill `file` up to the expected size; attempts that bring nothing are counted, up to ATTEMPTS."""
        barren = 0
        while (before := _size(file)) < self.item.bytes:
            try:
                self._attempt(address, file)
                problem = "the server ended early"
            except (_Broken, OSError, http.client.HTTPException) as exc:
                problem = str(getattr(exc, "reason", "") or exc) or type(exc).__name__
            if (after := _size(file)) > before:
                barren = 0
                continue
            barren += 1
            if barren >= ATTEMPTS:
                raise ModelError(
                    f"{address}: {problem}; got {after} of {self.item.bytes} bytes. "
                    "Run the command again to go on from there, or use --from FOLDER"
                )
            self.pause(PAUSE_S * barren)

    def _attempt(self, address: str, file: BufferedRandom) -> None:
        """Ask once for what is missing and append it."""
        have = _size(file)
        try:
            with _ask(address, have) as answer:
                if not _continues(answer, have):
                    file.truncate(0)
                self._append(answer, file)
                if _is_page(answer, file):
                    file.truncate(0)
                    raise ModelError(
                        f"{address}: answers a web page, not a model; is a login or a proxy between?"
                    )
        except urllib.error.HTTPError as exc:
            exc.close()
            if exc.code == 416:
                file.truncate(0)
            if exc.code in _REFUSALS:
                raise ModelError(f"{address}: the server answers {exc.code} {exc.reason}") from exc
            raise _Broken(f"the server answers {exc.code} {exc.reason}") from exc

    def _append(self, answer: Any, file: BufferedRandom) -> None:
        """Append until the server ends; one byte more than expected is enough to know it is wrong."""
        have, most = _size(file), self.item.bytes + 1
        while have < most and (chunk := answer.read(min(_CHUNK, most - have))):
            file.write(chunk)
            file.flush()
            have += len(chunk)
            self.progress(self.item.file, have, self.item.bytes)


def _ask(address: str, have: int) -> Any:
    """Request an address from byte `have` on. Raises what urllib raises, ModelError for no address."""
    headers = {"User-Agent": f"edge-daemon/{__version__}"} | ({"Range": f"bytes={have}-"} if have else {})
    opener = urllib.request.build_opener()  # urlopen() would remember the proxies of its first call.
    try:
        return opener.open(urllib.request.Request(address, headers=headers), timeout=TIMEOUT_S)
    except ValueError as exc:
        raise ModelError(f"{address}: not an address: {exc}") from exc


def _is_page(answer: Any, file: BufferedRandom) -> bool:
    """Whether a server answered HTML, saying so or not."""
    file.seek(0)
    kind = answer.headers.get_content_type()
    return kind in ("text/html", "application/xhtml+xml") or file.read(64).lstrip().lower().startswith(_PAGES)


def _continues(answer: Any, have: int) -> bool:
    """Whether the answer goes on from byte `have`, rather than starting over."""
    return answer.status == 206 and str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _copy(source: Path, file: BufferedRandom) -> None:
    """Replace what is in `file` by a local file."""
    try:
        with open_regular(source) as given:
            file.truncate(0)
            shutil.copyfileobj(given, file)
            file.flush()
    except OSError as exc:
        raise ModelError(f"{source}: can't be copied: {exc.strerror}") from exc


def _size(file: BufferedRandom) -> int:
    return file.seek(0, os.SEEK_END)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_web(source: str) -> bool:
    return urlsplit(source).scheme in ("http", "https")
