"""Root folders with the files of a Raspberry Pi."""

from __future__ import annotations

from pathlib import Path

SOC_OF_PI_5 = ("gpio-brcmstb@107d508500", "gpio-brcmstb@107d508520", "gpio-brcmstb@107d517c00")

BOARDS: dict[str, dict[int, str]] = {
    "Pi 5, Linux 6.6.20": {**dict(enumerate((*SOC_OF_PI_5, "gpio-brcmstb@107d517c20"))), 4: "pinctrl-rp1"},
    "Pi 5, Linux 6.6.47": {0: "pinctrl-rp1", **{10 + n: label for n, label in enumerate(SOC_OF_PI_5)}},
    "Pi 4": {0: "pinctrl-bcm2711", 1: "raspberrypi-exp-gpio"},
    "Pi 3": {0: "pinctrl-bcm2835", 1: "brcmvirt-gpio", 2: "raspberrypi-exp-gpio"},
}
"""Labels by number, as gpiodetect prints them (raspberrypi/linux pull request 6144, WiringPi issue 280)."""


def lay_out_chips(root: Path, labels: dict[int, str], lines: int = 54) -> Path:
    """Make the nodes as plain files, and the kernel's files under /sys; return the root."""
    (root / "dev").mkdir(parents=True, exist_ok=True)
    base = 512
    for number, label in labels.items():
        device = root / "sys/devices/platform" / f"{label}.gpio"
        (device / f"gpiochip{number}").mkdir(parents=True)
        shown = root / "sys/class/gpio" / f"gpiochip{base}"
        shown.mkdir(parents=True)
        (shown / "label").write_text(f"{label}\n")
        (shown / "ngpio").write_text(f"{lines}\n")
        (shown / "device").symlink_to(device)
        (root / "dev" / f"gpiochip{number}").touch()
        base += lines
    return root
