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
    """Write the model's name, which ends with a zero byte in the device tree."""
    write(root, "proc/device-tree/model", f"{model}\0")


def lay_throttled(root: Path, device: str, text: str) -> None:
    """Write get_throttled of a device, and the firmware driver's link to it."""
    path = write(root, f"sys/devices/platform/{device}/get_throttled", text)
    driver = root / "sys/bus/platform/drivers/raspberrypi-firmware"
    driver.mkdir(parents=True)
    (driver / path.parent.name).symlink_to(path.parent)


def lay_alarm(root: Path, alarm: str, number: int = 1) -> Path:
    """Write the voltage sensor and others; return its alarm file."""
    write(root, "sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
    write(root, "sys/class/hwmon/hwmon0/in0_lcrit_alarm", "1\n")
    write(root, f"sys/class/hwmon/hwmon{number}/name", "rpi_volt\n")
    return write(root, f"sys/class/hwmon/hwmon{number}/in0_lcrit_alarm", f"{alarm}\n")


def lay_link(root: Path, name: str, *, carrier: str, wireless: bool = False, virtual: bool = False) -> None:
    """Write the files of a network interface."""
    folder = f"sys/class/net/{name}"
    write(root, f"{folder}/type", "1\n")
    write(root, f"{folder}/carrier", f"{carrier}\n")
    if not virtual:
        (root / folder / "device").mkdir()
    if wireless:
        (root / folder / "phy80211").mkdir()


def lay_bridge(root: Path, name: str, *ports: str) -> None:
    """Write the files of a bridge; of a port only its link below the bridge."""
    lay_link(root, name, carrier="1", virtual=True)
    (root / f"sys/class/net/{name}/bridge").mkdir()
    for port in ports:
        (root / f"sys/class/net/{name}/lower_{port}").symlink_to(f"../{port}")


def lay_loopback(root: Path) -> None:
    """Write the files of the loopback, which is always up."""
    write(root, "sys/class/net/lo/type", "772\n")
    write(root, "sys/class/net/lo/carrier", "1\n")


def lay_route(root: Path, *rows: str) -> None:
    """Write IPv4 routes, and only a loopback and a link-local IPv6 address."""
    write(root, "proc/net/route", "\n".join(["Iface\tDestination\tGateway", *rows]) + "\n")
    own = "0" * 31 + "1 01 80 10 80 lo\n"
    write(root, "proc/net/if_inet6", f"{own}fe800000000000000000000000000001 02 40 20 80 wlan0\n")
