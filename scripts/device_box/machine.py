"""A virtual machine: disks, start and end."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

EMULATION = "tcg,thread=multi"
KVM_TIMEOUT_S = 20.0
BOOT_ATTEMPTS = 3
"""Multi-threaded emulation sometimes corrupts code that the kernel patches at boot."""
PRIORITY = -15
"""Nice value of the emulator, so that other load on the host delays no frame of the machine."""
MEMORY_MB = 2048
UNUSED_DRIVERS = "kvm_amd,powernow_k8"
"""An emulated processor takes seconds to load them."""


class MachineError(Exception):
    """The machine could not be created, or did not end in time."""


class Machine:
    """A new machine: a fresh disk over the image, and a copy of the current source tree.

    `results` is mounted as /results and receives the text of the console. A power cut affects the disk as it
    does a real one: flushed data survives, other data may be lost.
    """

    def __init__(self, image: Path, work: Path, results: Path) -> None:
        self._image = image
        self._disk = work / "disk.qcow2"
        self._source = work / "source.ext4"
        self.results = results
        results.mkdir(parents=True, exist_ok=True)
        self._starts = 0
        base = f"{image / 'root.ext4'}"
        _run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, str(self._disk)])
        _pack(work / "source", self._source)

    @contextmanager
    def running(self, job: str, *, interactive: bool = False) -> Iterator[subprocess.Popen[bytes]]:
        """Start the machine for `job`; kill it at the end of the block."""
        self._starts += 1
        process = subprocess.Popen(self._command(job, None if interactive else self._console()))
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def run(self, job: str, timeout_s: float) -> float:
        """Start the machine for `job` and wait until it powers off; return the seconds.

        After a kernel panic at boot it is started again.
        """
        for _ in range(BOOT_ATTEMPTS - 1):
            seconds = self._run(job, timeout_s)
            if not panicked_early(self._console().read_text(errors="replace")):
                return seconds
            print(f"{job}: the kernel panicked at boot; starting again", flush=True)
        return self._run(job, timeout_s)

    def _run(self, job: str, timeout_s: float) -> float:
        started = time.monotonic()
        with self.running(job) as process:
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                raise MachineError(
                    f"'{job}' did not end within {timeout_s:.0f} s; see {self.results}"
                ) from None
        return time.monotonic() - started

    def _console(self) -> Path:
        return self.results / f"console-{self._starts:02d}.txt"

    def _command(self, job: str, console: Path | None) -> list[str]:
        words = "root=/dev/vda rw console=ttyS0 quiet panic=-1 systemd.show_status=0 mitigations=off"
        words += f" modprobe.blacklist={UNUSED_DRIVERS} {job}"
        talk = ["-serial", "mon:stdio"] if console is None else ["-serial", f"file:{console}"]
        return [
            "nice", "-n", str(PRIORITY), "qemu-system-x86_64",
            "-accel", accelerator(self._image), "-cpu", "max", "-smp", "2",
            "-m", str(MEMORY_MB), "-nodefaults", "-display", "none",
            "-kernel", str(self._image / "vmlinuz"), "-initrd", str(self._image / "initrd"), "-append", words,
            # Write-through: a flush in the machine is a flush on the host.
            "-drive", f"file={self._disk},if=virtio,cache=writethrough",
            "-drive", f"file={self._source},if=virtio,format=raw,readonly=on",
            "-virtfs", f"local,path={self.results},mount_tag=results,security_model=none",
            "-device", "virtio-rng-pci", "-nic", "none", "-no-reboot", *talk,
        ]  # fmt: skip


def panicked_early(console: str) -> bool:
    """Return whether the kernel panicked in its first 10 seconds, before any service starts."""
    panic = re.search(r"\[ *(\d+)\.\d+\] Kernel panic", console)
    return panic is not None and int(panic[1]) < 10


def _run(command: list[str]) -> bytes:
    try:
        return subprocess.run(command, check=True, capture_output=True).stdout
    except subprocess.CalledProcessError as exc:
        text = f"{shlex.join(command)}: {exc.stderr.decode(errors='replace').strip()}"
        raise MachineError(text) from exc


def _pack(folder: Path, disk: Path) -> None:
    """Create a disk image with the project's files of the working tree."""
    names = _run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
    present = [name for name in names.split(b"\0") if name and Path(name.decode()).exists()]
    folder.mkdir()
    listing = folder.with_suffix(".list")
    listing.write_bytes(b"\0".join(present))
    archive = folder.with_suffix(".tar")
    _run(
        [
            "tar",
            "--create",
            "--null",
            "--owner=0",
            "--group=0",
            f"--files-from={listing}",
            f"--file={archive}",
        ]
    )
    _run(["tar", "--extract", f"--file={archive}", f"--directory={folder}"])
    _run(["mke2fs", "-q", "-t", "ext4", "-m", "0", "-d", str(folder), str(disk), "256M"])


@cache
def accelerator(image: Path) -> str:
    """Return `kvm` if Debian's kernel starts its first program under it, else emulation."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return EMULATION
    # The first program ends immediately, which is a panic for the kernel.
    words = "console=ttyS0 panic=-1 rdinit=/bin/true"
    command = [
        "qemu-system-x86_64", "-accel", "kvm", "-cpu", "max", "-m", "512", "-nographic", "-no-reboot",
        "-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd"), "-append", words,
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, timeout=KVM_TIMEOUT_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return EMULATION
    return "kvm" if b"Attempted to kill init" in done.stdout else EMULATION
