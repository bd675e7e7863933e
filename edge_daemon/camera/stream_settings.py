"""Settings of a stream, as they are sent to the process that decodes it."""

from __future__ import annotations

from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

_END = b"\n"


class StreamSettings(msgspec.Struct, frozen=True):
    """A stream's URL without a password, its name in messages, its credentials, and the pictures' size.

    `size` is width and height before rotation, None for the stream's own; `every_s` is the pause between
    single pictures. The settings never stand in an argument or a variable, which other users could read.
    """

    url: str
    name: str
    username: str | None
    password: str | None
    size: tuple[int, int] | None
    every_s: float

    def encode(self) -> bytes:
        """Return the settings as one line."""
        return msgspec.json.encode(self) + _END

    def request_url(self) -> str:
        """Return the URL with {username} and {password} replaced."""
        name, password = (quote(word or "", safe="") for word in (self.username, self.password))
        return self.url.replace("{username}", name).replace("{password}", password)

    def rtsp_url(self) -> str:
        """Return the URL with the credentials before the host."""
        if self.username is None:
            return self.request_url()
        parts = urlsplit(self.request_url())
        name, password = (quote(word or "", safe="") for word in (self.username, self.password))
        return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.netloc}"))
