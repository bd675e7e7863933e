"""An Arduino Uno that runs a compiled sketch: Debian's compiler and core for it, and the simulator simavr."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.harness.mqtt_harness import wait_until

CORE = Path("/usr/share/arduino/hardware/arduino/avr")
AVAILABLE = shutil.which("avr-g++") is not None and CORE.is_dir() and Path("/usr/include/simavr").is_dir()
_BOARD = ["-mmcu=atmega328p", "-DF_CPU=16000000L", "-DARDUINO=10819", "-DARDUINO_ARCH_AVR"]
_INCLUDES = [f"-I{CORE}/cores/arduino", f"-I{CORE}/variants/standard"]
# DECIMAL_DIG is of C's float.h, which this compiler's C++ leaves out.
_CPP = ["-std=gnu++11", "-fno-exceptions", "-fno-threadsafe-statics", "-DDECIMAL_DIG=__DECIMAL_DIG__"]


def build_sketch(sketch: Path, folder: Path) -> Path:
    """Compile a sketch with the Arduino core, warnings being errors, and return the program."""
    objects: list[Path] = []
    sources = [each for each in (CORE / "cores/arduino").iterdir() if each.suffix in (".c", ".cpp", ".S")]
    for source in (*sorted(sources), sketch):
        compiled = folder / f"{source.name}.o"
        command = [
            "avr-gcc" if source.suffix in (".c", ".S") else "avr-g++",
            "-c",
            "-Os",
            *_BOARD,
            *_INCLUDES,
        ]
        command += ["-ffunction-sections"]
        if source.suffix in (".cpp", ".ino"):
            command += _CPP
        if source == sketch:
            command += ["-Wall", "-Wextra", "-Werror", "-include", "Arduino.h", "-x", "c++"]
        else:
            command += ["-w"]
        subprocess.run([*command, source, "-o", compiled], check=True)
        objects.append(compiled)
    program = folder / "sketch.elf"
    link: list[str | Path] = [
        "avr-gcc",
        "-mmcu=atmega328p",
        "-Os",
        "-Wl,--gc-sections",
        *objects,
        "-lm",
        "-o",
        program,
    ]
    subprocess.run(link, check=True)
    return program


class ArduinoUno:
    """A simulated board at a pseudo-terminal with the path `port`; a context manager.

    Its processor runs no faster than a real one, and slower on a busy machine.
    """

    def __init__(self, program: Path, simulator: Path) -> None:
        self._board, self._port = os.openpty()
        self.port = os.ttyname(self._port)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed at the end
        self._process = subprocess.Popen(
            [simulator, program], stdin=self._board, stdout=self._board, stderr=self._log
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._board)
        os.close(self._port)
        self._log.close()

    def press(self) -> None:
        """Press the button."""
        self._process.send_signal(signal.SIGUSR1)

    def pulse_us(self) -> int:
        """Return the length of the servo's present pulses; 0 before the first one."""
        written = os.pread(self._log.fileno(), 1 << 20, 0)  # a seek would move the simulator's position too
        pulses = [line.split()[1] for line in written.decode().splitlines() if line.startswith("pulse ")]
        return int(pulses[-1]) if pulses else 0

    def wait_for_pulse(self, length_us: int) -> None:
        """Wait until the servo's pulses have this length."""
        wait_until(lambda: self.pulse_us() == length_us, timeout_s=60.0)


def build_simulator(folder: Path) -> Path:
    """Compile the simulator."""
    program = folder / "arduino_uno"
    source = Path(__file__).with_suffix("").with_name("arduino_uno.c")
    subprocess.run(["cc", "-O2", source, "-o", program, "-lsimavr", "-lelf"], check=True)
    return program
