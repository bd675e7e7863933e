"""This device's network: links, addresses, Wi-Fi power saving, `.local` names."""

from __future__ import annotations

import fcntl
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_daemon.board.files import read_line

_SIOCGIWPOWER = 0x8B2D
"""ioctl that reads a `struct iw_param` (linux/wireless.h); `disabled` follows a 32-bit value and `fixed`."""
_SIOCGIFADDR = 0x8915
"""ioctl that reads the IPv4 address of a `struct ifreq` (netdevice(7))."""

_LOOPBACK, _PPP = "772", "512"
"""ARPHRD_LOOPBACK and ARPHRD_PPP of linux/if_arp.h, as in an interface's file `type`."""

_MDNS_MODULES = re.compile(r"\b(?:mdns\w*|resolve)\b")


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface; `has_link` is true with a connected cable or access point."""

    name: str
    wireless: bool
    has_link: bool


def interfaces(root: Path = Path("/")) -> list[Interface]:
    """Return the hardware interfaces; without any, the virtual ones except loopback and internal bridges.

    The PPP interface of a modem, which exists while it is connected, counts as hardware.
    """
    found: dict[bool, list[Interface]] = {True: [], False: []}
    for folder in sorted(root.glob("sys/class/net/*")):
        kind = read_line(folder / "type")
        if not (kind == _LOOPBACK or _is_internal_bridge(folder)):
            wireless = (folder / "wireless").exists() or (folder / "phy80211").exists()
            link = Interface(folder.name, wireless, _has_link(folder))
            found[kind == _PPP or (folder / "device").exists()].append(link)
    return found[True] or found[False]


def _is_internal_bridge(folder: Path) -> bool:
    """Return whether it is a bridge without a hardware interface, as those of Docker and libvirt."""
    return (folder / "bridge").exists() and not _reaches_hardware(folder)


def _reaches_hardware(folder: Path) -> bool:
    if (folder / "device").exists():
        return True
    return any(_reaches_hardware(lower) for lower in folder.glob("lower_*"))


def _has_link(folder: Path) -> bool:
    """Return whether the interface has a carrier; reading it fails while the interface is down."""
    carrier = read_line(folder / "carrier")
    return carrier == "1" if carrier else read_line(folder / "operstate") == "up"


def link_fault(root: Path = Path("/")) -> str | None:
    """Return the reason for a missing network and the remedy; None with a network."""
    links = interfaces(root)
    if not links:
        return "there is no network interface"
    if not any(link.has_link for link in links):
        return "; ".join(_no_link(link, root) for link in links)
    if not has_address(root):
        names = ", ".join(link.name for link in links if link.has_link)
        return f"{names} has a link but no address: does the network's DHCP server answer?"
    return None


def _no_link(link: Interface, root: Path) -> str:
    if not link.wireless:
        return f"{link.name} has no link: is the cable in?"
    if is_blocked(root):
        return f"{link.name} is blocked (rfkill): set the Wi-Fi country with `sudo raspi-config`"
    return f"{link.name} has no link: is the access point in reach, and the Wi-Fi password right?"


def is_blocked(root: Path = Path("/")) -> bool:
    """Return whether rfkill blocks Wi-Fi, as on Raspberry Pi OS until a country is set."""
    for kind in root.glob("sys/class/rfkill/*/type"):
        blocks = (read_line(kind.with_name("soft")), read_line(kind.with_name("hard")))
        if read_line(kind) == "wlan" and "1" in blocks:
            return True
    return False


def has_address(root: Path = Path("/")) -> bool:
    """Return whether the device has an IPv4 route or an IPv6 address of global or site scope.

    Those of internal bridges do not count. If neither file can be read, an address is assumed.
    """
    routes, addresses = read_line(root / "proc/net/route"), read_line(root / "proc/net/if_inet6")
    if routes is None and addresses is None:
        return True
    route_rows = (routes or "").splitlines()[1:]  # below the names of the columns
    names = [row.split()[0] for row in route_rows]
    rows = [row.split() for row in (addresses or "").splitlines()]
    names += [row[5] for row in rows if len(row) == 6 and row[3] in ("00", "40")]  # scope: global, site
    return not all(_is_internal_bridge(root / "sys/class/net" / name) for name in names)


def own_address(
    root: Path = Path("/"), ioctl: Callable[[socket.socket, int, bytes], bytes] = fcntl.ioctl
) -> str:
    """Return the IPv4 address of the first interface that has one, by which others reach this device.

    Without an address it is the host's name: the network may come up later.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        for link in interfaces(root):
            try:
                answer = ioctl(channel, _SIOCGIFADDR, struct.pack("16s24x", link.name.encode()[:15]))
            except OSError:
                continue
            return socket.inet_ntoa(answer[20:24])
    return socket.gethostname()


def page_url(ip: str, port: int) -> str:
    """Return a URL for a browser; that of this device if `ip` stands for all its addresses."""
    host = own_address() if ip in ("0.0.0.0", "::") else ip
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def power_saving(name: str, ioctl: Callable[[socket.socket, int, bytes], bytes] = fcntl.ioctl) -> bool | None:
    """Return whether a Wi-Fi interface saves power between beacons; None if its driver does not report it.

    Raspberry Pi OS enables it: messages from the network then wait for the next beacon or get lost
    (github.com/RPi-Distro/raspi-config/issues/282).
    """
    request = struct.pack("16s16x", name.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        try:
            answer = ioctl(channel, _SIOCGIWPOWER, request)
        except OSError:
            return None
    return not answer[21]


def names_fault(host: str, root: Path = Path("/")) -> str | None:
    """Return the reason why this system resolves no `.local` names, and the remedy; None for other names."""
    if not is_mdns_name(host):
        return None
    for line in (read_line(root / "etc/nsswitch.conf") or "").splitlines():
        key, _, services = line.partition("#")[0].partition(":")
        if key.strip() == "hosts":
            if _MDNS_MODULES.search(services):
                return None
            return "this system resolves no .local names: `sudo apt install avahi-daemon libnss-mdns`"
    return None


def is_mdns_name(host: str) -> bool:
    """Return whether a name is resolved by multicast DNS on the local network (RFC 6762)."""
    return host.rstrip(".").lower().endswith(".local")


def is_this_device(host: str) -> bool:
    """Return whether a host is this device itself, which needs no network."""
    return host in ("localhost", "::1", "0.0.0.0", "::") or host.startswith("127.")
