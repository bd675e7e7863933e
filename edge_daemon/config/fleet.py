"""The `fleet:` section."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from edge_daemon.config.base import END, ConfigSection, FilePath, Positive


class FleetOptions(ConfigSection, frozen=True):
    """Devices of one `group` and one embedding space share their examples. No `group` shares none.

    The group's key is read from `key_file`, else `credential`, else $EDGE_DAEMON_FLEET_KEY.
    """

    group: Annotated[str, Meta(pattern="^[A-Za-z0-9_.-]{1,64}" + END)] | None = None
    key_file: FilePath | None = None
    credential: str | None = None
    """Name of a file in $CREDENTIALS_DIRECTORY that holds the key."""
    max_examples: Annotated[int, Meta(ge=1, le=5000)] = 500
    """Maximum number of shared examples of each device."""
    max_peers: Positive = 20
    """Maximum number of devices whose examples are received."""
