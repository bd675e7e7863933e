"""The doctor's check of this device's network: a dead link is not reported as a dead broker."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from edge_daemon.board.network import (
    Interface,
    interfaces,
    is_mdns_name,
    is_this_device,
    link_fault,
    names_fault,
    power_saving,
)
from edge_daemon.cli.checks.check import Check
from edge_daemon.config.schema import Config

_SAVING = (
    "messages come late or get lost: `nmcli -g NAME,DEVICE connection show --active`, then `sudo nmcli"
    " connection modify NAME wifi.powersave 2` and restart; without it `sudo iw dev {0} set power_save off`"
)


def check_network(config: Config, root: Path = Path("/")) -> Check:
    """Check links and addresses, Wi-Fi power saving, and the resolution of the broker's name."""
    host = config.mqtt.host
    needed = host is not None and not is_this_device(host)
    if needed and (fault := link_fault(root)):
        return Check("network", "failed", *_split(fault))
    links = [link for link in interfaces(root) if link.has_link]
    sleeping = [link.name for link in links if link.wireless and power_saving(link.name)]
    if host is not None and needed and (fault := _name_fault(host, root)):
        return Check("network", "failed", *_split(fault))
    if sleeping:
        detail = f"Wi-Fi power saving is on at {', '.join(sleeping)}"
        return Check("network", "warning", detail, _SAVING.format(sleeping[0]))
    return Check("network", "ok", ", ".join(map(_describe, links)) or "no link; none is needed")


def _name_fault(host: str, root: Path) -> str | None:
    """Return the reason why the broker's name is not resolved, and the remedy; None if it is."""
    with contextlib.suppress(OSError, UnicodeError):
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return None
    if fault := names_fault(host, root):
        return fault
    if is_mdns_name(host):
        return f"nothing on the local network answers to {host}: is the broker up, and avahi-daemon on it?"
    return f"{host} is not resolved: check the name and the name server"


def _split(fault: str) -> tuple[str, str]:
    """Split a fault at its colon into reason and remedy."""
    reason, _, remedy = fault.partition(": ")
    return reason, remedy


def _describe(link: Interface) -> str:
    return f"{link.name} ({'Wi-Fi' if link.wireless else 'wired'})"
