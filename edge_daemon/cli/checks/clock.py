"""The doctor's check of the clock."""

from __future__ import annotations

from pathlib import Path

from edge_daemon.board.clock import BUILT_AFTER, clock_synced
from edge_daemon.cli.checks.check import Check
from edge_daemon.config.schema import Config
from edge_daemon.domain.interfaces import Clock
from edge_daemon.system.clock import SystemClock

_HINT = "times in messages are wrong until network time arrives; see `timedatectl`"


def check_clock(config: Config, clock: Clock | None = None, root: Path = Path("/")) -> Check:
    """Check that the wall clock was set, and synchronised since the boot."""
    shown = (clock or SystemClock()).utc()
    synced = clock_synced(root)
    if shown < BUILT_AFTER and not synced:
        return Check("clock", "failed", f"it says {shown.astimezone():%Y-%m-%d %H:%M}", f"not set: {_HINT}")
    text = f"{shown.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    if synced is False:
        tls = ", and TLS may have to wait for it" if config.mqtt.tls.enabled else ""
        return Check("clock", "warning", f"{text}, not synchronised", f"{_HINT}{tls}")
    return Check("clock", "ok", text if synced is None else f"{text}, synchronised")
