"""Download of model files: resumable, verified by size and SHA-256, put in place atomically."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from urllib.parse import quote

from edge_daemon.domain.errors import ModelError
from edge_daemon.models.part_file import PartFile
from edge_daemon.models.registry import Manifest, RemoteFile
from edge_daemon.models.web_transfer import (
    ATTEMPTS,
    PAUSE_S,
    ProgressCallback,
    TransferInterrupted,
    file_size,
    is_beyond_end,
    is_html,
    is_web_address,
    receive,
    request,
    resumes,
)
from edge_daemon.system.regular_file import open_regular


def download_model(
    manifest: Manifest,
    folder: Path,
    source: str | None = None,
    progress: ProgressCallback = lambda name, done, total: None,
    pause: Callable[[float], None] = time.sleep,
) -> Path:
    """Download a model and its labels into `folder` and return the model's path.

    `source` replaces the public address: a folder or an http(s) address with files of these names. Files that
    exist with the right hash are not downloaded again. Raises ModelError.
    """
    for item in manifest.files:
        target = folder / item.file
        if target.is_file() and _digest(target) == item.sha256:
            continue
        try:
            _FileDownload(item, source, progress, pause).save_to(target)
        except OSError as exc:
            raise ModelError(f"{target}: can't be written: {exc.strerror or exc}") from exc
    return folder / manifest.file


@dataclass(frozen=True, slots=True)
class _FileDownload:
    """Download of one file, with its expected size and hash, its source and a progress callback."""

    item: RemoteFile
    source: str | None
    progress: ProgressCallback
    pause: Callable[[float], None]

    def save_to(self, target: Path) -> None:
        """Put the verified file at `target` atomically. Raises ModelError and leaves `target` as it was."""
        with PartFile(target) as part:
            self._fetch_verified(part.file)
            part.put_in_place()
        self.progress(self.item.file, self.item.bytes, self.item.bytes)

    def _fetch_verified(self, file: BufferedRandom) -> None:
        """Fill `file` with the verified content, resuming after the bytes it holds, or leave it empty."""
        resumed = file_size(file) > 0
        self._fetch(file)
        if resumed and self._mismatch(file):
            file.truncate(0)  # The bytes of an earlier run may be of another version.
            self._fetch(file)
        if problem := self._mismatch(file):
            file.truncate(0)
            raise ModelError(
                f"{self.item.file} from {self.source or self.item.url} {problem}; nothing was kept"
            )

    def _fetch(self, file: BufferedRandom) -> None:
        if self.source is not None and not is_web_address(self.source):
            _copy(Path(self.source) / self.item.file, file)
        else:
            self._fetch_from_web(self._address(), file)

    def _mismatch(self, file: BufferedRandom) -> str | None:
        """Return the difference between a file and its manifest, None without one."""
        if (size := file_size(file)) != self.item.bytes:
            return f"has {size} bytes instead of {self.item.bytes}"
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != self.item.sha256:
            return f"is another file (SHA-256 {digest[:12]}…, not {self.item.sha256[:12]}…)"
        return None

    def _address(self) -> str:
        name = self.item.file
        if self.source is not None:
            is_file_address = self.source.endswith(f"/{name}")
            return self.source if is_file_address else f"{self.source.rstrip('/')}/{quote(name)}"
        if self.item.url is None:
            raise ModelError(f"{name} has no public address; it ships with the program")
        return self.item.url

    def _fetch_from_web(self, address: str, file: BufferedRandom) -> None:
        """Fill `file` up to the expected size. Give up after ATTEMPTS attempts in a row without a byte."""
        failures = 0
        while (before := file_size(file)) < self.item.bytes:
            try:
                self._attempt(address, file)
                problem = "the server ended early"
            except TransferInterrupted as exc:
                problem = str(exc)
            if (after := file_size(file)) > before:
                failures = 0
                continue
            failures += 1
            if failures >= ATTEMPTS:
                raise ModelError(
                    f"{address}: {problem}; got {after} of {self.item.bytes} bytes. "
                    "Run the command again to resume, or use --from FOLDER"
                )
            self.pause(PAUSE_S * failures)

    def _attempt(self, address: str, file: BufferedRandom) -> None:
        """Append the missing bytes, and one more if there is one: a longer file is a mismatch."""
        have = file_size(file)
        try:
            with request(address, have) as response:
                if not resumes(response, have):
                    file.truncate(0)
                receive(response, file, self.item.bytes + 1, self._report)
                if is_html(response, file):
                    file.truncate(0)
                    raise ModelError(
                        f"{address}: answers a web page, not a model; check for a login page or a proxy"
                    )
        except TransferInterrupted as exc:
            if is_beyond_end(exc):
                file.truncate(0)
            raise

    def _report(self, done: int) -> None:
        self.progress(self.item.file, done, self.item.bytes)


def _copy(source: Path, file: BufferedRandom) -> None:
    """Replace the content of `file` by a local file's."""
    try:
        with open_regular(source) as given:
            file.truncate(0)
            shutil.copyfileobj(given, file)
            file.flush()
    except OSError as exc:
        raise ModelError(f"{source}: can't be copied: {exc.strerror}") from exc


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
