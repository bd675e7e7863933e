"""HTTP requests of downloads: bounded redirects, resumed ranges, and bodies read up to a limit."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from io import BufferedRandom
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from edge_daemon import __version__
from edge_daemon.domain.errors import ModelError

ProgressCallback: TypeAlias = Callable[[str, int, int], None]
"""Called with the file name, the bytes so far and the total bytes."""

TIMEOUT_S = 30.0
ATTEMPTS = 4
PAUSE_S = 1.0
"""Pause after the first attempt without a byte; those after it are multiples of it."""

MAX_REDIRECTS = 5
_CHUNK = 64 * 1024
_HTML_STARTS = (b"<!doctype", b"<html", b"<?xml")
_REFUSALS = (401, 403, 404, 407, 410)


class TransferInterrupted(Exception):
    """A transfer ended early; another attempt may resume it."""


class TransferRefused(ModelError):
    """The server refuses a file; `code` is its answer."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def request(address: str, have: int = 0, validator: str | None = None) -> Any:
    """Request an address from byte `have` on, if it is still the version of `validator`; return the response.

    Raises TransferInterrupted, TransferRefused, and ModelError for an invalid address or a redirect that is
    not followed.
    """
    headers = {"User-Agent": f"edge-daemon/{__version__}"}
    headers |= {"Range": f"bytes={have}-"} if have else {}
    headers |= {"If-Range": validator} if have and validator else {}
    opener = urllib.request.build_opener(_Redirects)  # urlopen() would keep the proxies of its first call.
    try:
        return opener.open(urllib.request.Request(address, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as exc:
        exc.close()
        raise _error_of(exc, address) from exc
    except (OSError, http.client.HTTPException) as exc:
        raise TransferInterrupted(reason_of(exc)) from exc
    except ValueError as exc:
        raise ModelError(f"{address}: not an address: {exc}") from exc


def _error_of(exc: urllib.error.HTTPError, address: str) -> Exception:
    if 300 <= exc.code < 400:
        return ModelError(f"{address}: redirects in a circle or more than {MAX_REDIRECTS} times")
    if exc.code in _REFUSALS:
        return TransferRefused(f"{address}: the server answers {exc.code} {exc.reason}", exc.code)
    interrupted = TransferInterrupted(f"the server answers {exc.code} {exc.reason}")
    interrupted.__cause__ = exc
    return interrupted


def is_beyond_end(error: TransferInterrupted) -> bool:
    """Return whether the server has fewer bytes than the request began at."""
    return isinstance(error.__cause__, urllib.error.HTTPError) and error.__cause__.code == 416


def receive(response: Any, file: BufferedRandom, most: int, report: Callable[[int], None]) -> None:
    """Append the response to a file of up to `most` bytes; `report` gets the file's size after each part.

    Parts are taken as they arrive, so that `report` can end a slow transfer. Raises TransferInterrupted,
    and OSError of the file.
    """
    have = file_size(file)
    while have < most:
        try:
            part = response.read1(min(_CHUNK, most - have))
        except (OSError, http.client.HTTPException) as exc:
            raise TransferInterrupted(reason_of(exc)) from exc
        if not part:
            return
        file.write(part)
        file.flush()
        have += len(part)
        report(have)


def resumes(response: Any, have: int) -> bool:
    """Return whether the response begins at byte `have` of the file."""
    return response.status == 206 and str(response.headers.get("Content-Range", "")).startswith(
        f"bytes {have}-"
    )


def is_html(response: Any, file: BufferedRandom) -> bool:
    """Return whether the response is HTML, by its content type or its first bytes."""
    file.seek(0)
    kind = response.headers.get_content_type()
    return kind in ("text/html", "application/xhtml+xml") or file.read(64).lstrip().lower().startswith(
        _HTML_STARTS
    )


def is_web_address(text: str) -> bool:
    """Return whether the text is an http or https address."""
    return urlsplit(text).scheme in ("http", "https")


def reason_of(exc: Exception) -> str:
    """Return a network error's reason in one line."""
    text = str(getattr(exc, "reason", "") or exc) or type(exc).__name__
    return " ".join(text.split())


def file_size(file: BufferedRandom) -> int:
    """Return an open file's size; its position is the end."""
    return file.seek(0, os.SEEK_END)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects, and none from https to another scheme."""

    max_redirections = MAX_REDIRECTS
    max_repeats = 2

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        scheme = urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme != "https"):
            raise ModelError(f"{req.full_url}: redirects to {newurl}; from https only https is followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
