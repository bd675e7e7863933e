"""A root folder with the files of a board."""

from __future__ import annotations

from pathlib import Path

FIRMWARE = {
    "Raspberry Pi 3 Model B Plus Rev 1.3": "soc/soc:firmware",
    "Raspberry Pi 4 Model B Rev 1.5": "soc/soc:firmware",
    "Raspberry Pi Zero 2 W Rev 1.0": "soc/soc:firmware",
    "Raspberry Pi 5 Model B Rev 1.0": "soc@107c000000/soc@107c000000:firmware",
}
"""The firmware's device below sys/devices/platform, by model."""


def write(root: Path, path: str, text: str) -> Path:
    """Write a file and its folders."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def lay_model(root: Path, model: str) -> None:
    """Lay out the model's name, which the device tree ends with a zero byte."""
    write(root, "proc/device-tree/model", f"{model}\0")


def lay_throttled(root: Path, device: str, text: str) -> None:
    """Lay out get_throttled at a device, and the firmware driver's link to it."""
    path = write(root, f"sys/devices/platform/{device}/get_throttled", text)
    driver = root / "sys/bus/platform/drivers/raspberrypi-firmware"
    driver.mkdir(parents=True)
    (driver / path.parent.name).symlink_to(path.parent)


def lay_alarm(root: Path, alarm: str, number: int = 1) -> Path:
    """Lay out the voltage sensor among others; return its alarm."""
    write(root, "sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
    write(root, "sys/class/hwmon/hwmon0/in0_lcrit_alarm", "1\n")
    write(root, f"sys/class/hwmon/hwmon{number}/name", "rpi_volt\n")
    return write(root, f"sys/class/hwmon/hwmon{number}/in0_lcrit_alarm", f"{alarm}\n")


def lay_link(root: Path, name: str, *, carrier: str, wireless: bool = False, virtual: bool = False) -> None:
    """Lay out a network interface."""
    folder = f"sys/class/net/{name}"
    write(root, f"{folder}/type", "1\n")
    write(root, f"{folder}/carrier", f"{carrier}\n")
    if not virtual:
        (root / folder / "device").mkdir()
    if wireless:
        (root / folder / "phy80211").mkdir()


def lay_loopback(root: Path) -> None:
    """Lay out the loopback, which is always up."""
    write(root, "sys/class/net/lo/type", "772\n")
    write(root, "sys/class/net/lo/carrier", "1\n")


def lay_route(root: Path, *rows: str) -> None:
    """Lay out the IPv4 routes, and no IPv6 address but the loopback's and a link-local one."""
    write(root, "proc/net/route", "\n".join(["Iface\tDestination\tGateway", *rows]) + "\n")
    own = "0" * 31 + "1 01 80 10 80 lo\n"
    write(root, "proc/net/if_inet6", f"{own}fe800000000000000000000000000001 02 40 20 80 wlan0\n")
