"""Pictures over HTTP: MJPEG (multipart/x-mixed-replace), or a single picture fetched again and again."""

from __future__ import annotations

import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

from edge_daemon.camera.stream_faults import TIMEOUT_S, connection_errors, status_fault
from edge_daemon.camera.stream_settings import StreamSettings
from edge_daemon.domain.errors import CameraError

MAX_PICTURE_BYTES = 16 << 20
MAX_PART_HEAD_BYTES = 16 << 10
_PIECE_BYTES = 64 << 10
_NO_PICTURES = ("text", "video", "audio")
_LENGTH = re.compile(rb"^content-length:\s*(\d{1,12})\s*$", re.IGNORECASE | re.MULTILINE)


class Body(Protocol):
    """The body of an answer."""

    def read1(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""


def follow_http(settings: StreamSettings, put: Callable[[bytes, float], None]) -> None:
    """Put encoded pictures, each with its monotonic time, until the stream fails. Raises CameraError.

    The time is that of the arrival or, for a single picture, that of the request.
    """
    opener = _build_opener(settings)
    while True:
        asked_s = time.monotonic()
        _follow_answer(opener, settings, put)
        time.sleep(max(0.0, asked_s + settings.every_s - time.monotonic()))


def _follow_answer(
    opener: urllib.request.OpenerDirector, settings: StreamSettings, put: Callable[[bytes, float], None]
) -> None:
    """Put the pictures of one answer; returns after a single picture."""
    name, asked_s = settings.name, time.monotonic()
    with connection_errors(name):
        try:
            with _open(opener, settings) as answer:
                kind = answer.headers.get_content_type() if "content-type" in answer.headers else "unknown"
                if kind.startswith("multipart/"):
                    parts = PartReader(answer, str(answer.headers.get_param("boundary", "")), name)
                    while True:
                        put(parts.next(), time.monotonic())
                if kind.partition("/")[0] in _NO_PICTURES:
                    raise CameraError(
                        f"{name} sends {kind}, no pictures; camera.url must lead to MJPEG or to a JPEG"
                    )
                put(_read_picture(answer, name), asked_s)
        except urllib.error.HTTPError as exc:
            exc.close()
            if 300 <= exc.code < 400:
                raise CameraError(
                    f"{name} redirects without end or to another protocol; check camera.url"
                ) from exc
            raise CameraError(f"{name} {status_fault(exc.code, settings.username)}") from exc
        except urllib.error.URLError as exc:
            if isinstance(exc.reason, ssl.SSLError):
                raise CameraError(f"{name}: no safe connection: {exc.reason.reason}; try http://") from exc
            if isinstance(exc.reason, OSError):
                raise exc.reason from exc
            raise CameraError(f"{name}: the request failed: {exc.reason}") from exc
        except (http.client.HTTPException, ValueError) as exc:
            raise CameraError(f"{name} does not answer as HTTP does ({type(exc).__name__})") from exc


def _open(opener: urllib.request.OpenerDirector, settings: StreamSettings) -> http.client.HTTPResponse:
    """Return the answer. urllib does not check the fields of WWW-Authenticate. Raises CameraError."""
    try:
        answer: http.client.HTTPResponse = opener.open(settings.request_url(), timeout=TIMEOUT_S)
    except (ValueError, LookupError, AttributeError, TypeError) as exc:
        raise CameraError(f"{settings.name} asks for a password in an unknown way") from exc
    return answer


def _build_opener(settings: StreamSettings) -> urllib.request.OpenerDirector:
    """Return an opener with the credentials, which are sent to no other host, and without a proxy."""
    opener = urllib.request.OpenerDirector()
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ]
    if settings.username is not None:
        parts = urlsplit(settings.url)
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        root = f"{parts.scheme}://{parts.netloc}/"
        passwords.add_password(None, root, settings.username, settings.password or "")
        handlers.append(urllib.request.HTTPDigestAuthHandler(passwords))
        handlers.append(urllib.request.HTTPBasicAuthHandler(passwords))
    for handler in handlers:
        opener.add_handler(handler)
    return opener


def _read_picture(body: Body, name: str) -> bytes:
    content = bytearray()
    while piece := body.read1(_PIECE_BYTES):
        content += piece
        if len(content) > MAX_PICTURE_BYTES:
            raise CameraError(f"{name} sends more than {MAX_PICTURE_BYTES >> 20} MB for one picture")
    return bytes(content)


class PartReader:
    """Reads the parts of a multipart body, by their length or, without one, up to the next boundary.

    Cameras write the boundary with or without its leading dashes in the header.
    """

    def __init__(self, body: Body, boundary: str, name: str) -> None:
        mark = boundary.strip().lstrip("-").encode("latin-1", "replace")
        if not mark:
            raise CameraError(f"{name} sends pictures without a boundary between them, which can't be read")
        self._body = body
        self._name = name
        self._mark = b"--" + mark
        self._unread = bytearray()

    def next(self) -> bytes:
        """Return the content of the next part. Raises CameraError at the end, and for a part too long."""
        self._pop_to(self._mark, MAX_PICTURE_BYTES)
        self._pop_to(b"\n", MAX_PART_HEAD_BYTES)
        head = bytearray()
        while (line := self._pop_to(b"\n", MAX_PART_HEAD_BYTES - len(head))).strip():
            head += line
        if found := _LENGTH.search(head):
            return self._pop(min(int(found[1]), MAX_PICTURE_BYTES + 1))
        size = self._find(self._mark, MAX_PICTURE_BYTES)
        return self._pop(size)

    def _pop_to(self, mark: bytes, limit: int) -> bytes:
        """Return everything up to and with the next `mark`."""
        return self._pop(self._find(mark, limit) + len(mark))

    def _find(self, mark: bytes, limit: int) -> int:
        searched = 0
        while (place := self._unread.find(mark, max(searched - len(mark), 0))) < 0:
            searched = len(self._unread)
            if searched > limit:
                raise CameraError(f"{self._name} sends a picture or a head without end")
            self._fill()
        return place

    def _pop(self, size: int) -> bytes:
        if size > MAX_PICTURE_BYTES:
            raise CameraError(f"{self._name} sends a picture of more than {MAX_PICTURE_BYTES >> 20} MB")
        while len(self._unread) < size:
            self._fill()
        content = bytes(self._unread[:size])
        del self._unread[:size]
        return content

    def _fill(self) -> None:
        piece = self._body.read1(_PIECE_BYTES)
        if not piece:
            raise CameraError(f"{self._name} ended the stream")
        self._unread += piece
