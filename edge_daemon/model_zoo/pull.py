"""Fetch model files: resumed, checked by size and SHA-256, and put in place in one step."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeAlias
from urllib.parse import quote, urlsplit

from edge_daemon import __version__
from edge_daemon.errors import ModelError
from edge_daemon.model_zoo.manifest import Manifest, RemoteFile

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
            folder.mkdir(parents=True, exist_ok=True)
            _fetch(item, target, source, progress, pause)
        except OSError as exc:
            raise ModelError(f"{target}: can't be written: {exc.strerror or exc}") from exc
    return folder / manifest.file


def _fetch(
    item: RemoteFile, target: Path, source: str | None, progress: Progress, pause: Callable[[float], None]
) -> None:
    partial = target.with_name(target.name + ".part")
    with partial.open("ab+") as file:
        _lock(file, partial)
        resumed = partial.stat().st_size > 0
        _fill(item, file, source, progress, pause)
        if resumed and _wrong(item, partial):
            file.truncate(0)  # What an earlier run left may be of another version.
            _fill(item, file, source, progress, pause)
        if problem := _wrong(item, partial):
            partial.unlink()
            raise ModelError(f"{item.file} from {source or item.url} {problem}; nothing was kept")
        os.fsync(file.fileno())
        os.replace(partial, target)
    progress(item.file, item.bytes, item.bytes)


def _fill(
    item: RemoteFile, file: IO[bytes], source: str | None, progress: Progress, pause: Callable[[float], None]
) -> None:
    if source is not None and not _is_web(source):
        _copy(Path(source) / item.file, file)
    else:
        _download(item, _address(item, source), file, progress, pause)


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        raise ModelError(f"{path.name} is being fetched by another process") from exc


def _copy(source: Path, file: IO[bytes]) -> None:
    """Replace what is in `file` by a local file."""
    try:
        with source.open("rb") as given:
            file.truncate(0)
            shutil.copyfileobj(given, file)
            file.flush()
    except OSError as exc:
        raise ModelError(f"{source}: can't be copied: {exc.strerror}") from exc


def _wrong(item: RemoteFile, path: Path) -> str | None:
    """Say in what a fetched file differs from its manifest."""
    size = path.stat().st_size
    if size != item.bytes:
        return f"has {size} bytes instead of {item.bytes}"
    digest = _digest(path)
    return (
        f"is another file (SHA-256 {digest[:12]}…, not {item.sha256[:12]}…)"
        if digest != item.sha256
        else None
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_web(source: str) -> bool:
    return urlsplit(source).scheme in ("http", "https")


def _address(item: RemoteFile, source: str | None) -> str:
    if source is None:
        if item.url is None:
            raise ModelError(f"{item.file} has no public address; it ships with the program")
        return item.url
    return source if source.endswith(f"/{item.file}") else f"{source.rstrip('/')}/{quote(item.file)}"


def _download(
    item: RemoteFile, address: str, file: IO[bytes], progress: Progress, pause: Callable[[float], None]
) -> None:
    """Fill `file` up to the expected size; attempts that bring nothing are counted, up to ATTEMPTS."""
    barren = 0
    while (before := file.seek(0, os.SEEK_END)) < item.bytes:
        try:
            _attempt(item, address, file, progress)
            problem = "the server ended early"
        except (_Broken, OSError, http.client.HTTPException) as exc:
            problem = str(getattr(exc, "reason", "") or exc) or type(exc).__name__
        if (after := file.seek(0, os.SEEK_END)) > before:
            barren = 0
            continue
        barren += 1
        if barren >= ATTEMPTS:
            raise ModelError(
                f"{address}: {problem}; got {after} of {item.bytes} bytes. "
                "Run the command again to go on from there, or use --from FOLDER"
            )
        pause(PAUSE_S * barren)


def _attempt(item: RemoteFile, address: str, file: IO[bytes], progress: Progress) -> None:
    """Ask once for what is missing and append it."""
    have = file.seek(0, os.SEEK_END)
    headers = {"User-Agent": f"edge-daemon/{__version__}"} | ({"Range": f"bytes={have}-"} if have else {})
    opener = urllib.request.build_opener()  # urlopen() would remember the proxies of its first call.
    try:
        request = urllib.request.Request(address, headers=headers)
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            if not _continues(answer, have):
                file.truncate(0)
            _append(item, answer, file, progress)
            file.seek(0)
            if _is_page(answer, file.read(64)):
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
    except ValueError as exc:
        raise ModelError(f"{address}: not an address: {exc}") from exc


def _is_page(answer: Any, start: bytes) -> bool:
    """Whether a server answered HTML, saying so or not."""
    kind = answer.headers.get_content_type()
    return kind in ("text/html", "application/xhtml+xml") or start.lstrip().lower().startswith(_PAGES)


def _continues(answer: Any, have: int) -> bool:
    """Whether the answer goes on from byte `have`, rather than starting over."""
    return answer.status == 206 and str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _append(item: RemoteFile, answer: Any, file: IO[bytes], progress: Progress) -> None:
    """Append until the server ends; one byte more than expected is enough to know it is wrong."""
    have = file.seek(0, os.SEEK_END)
    while have <= item.bytes and (chunk := answer.read(min(_CHUNK, item.bytes + 1 - have))):
        file.write(chunk)
        file.flush()
        have += len(chunk)
        progress(item.file, have, item.bytes)
