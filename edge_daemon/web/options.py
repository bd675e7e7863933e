"""The `web:` section."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from edge_daemon.options import FilePath, Options


class WebOptions(Options, frozen=True):
    """The page. `listen` None turns it off; the token never stands here."""

    listen: Annotated[int, Meta(ge=1, le=65535)] | str | None = None
    """A port, on 127.0.0.1, or `address:port`. Anything but the loopback needs a token."""
    token_file: FilePath | None = None
    credential: str | None = None
    """Name of a file in $CREDENTIALS_DIRECTORY that holds the token."""
    hosts: tuple[str, ...] = ()
    """Further names under which the page is reached, a reverse proxy's; with them it always needs a token."""
    regions_file: FilePath | None = None
    """Where regions are saved that were moved on the page; default `regions.yaml` in the state directory."""
