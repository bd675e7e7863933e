"""A serial port as raw bytes, without waiting."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import termios
import time

from edge_daemon.domain.errors import SerialError

log = logging.getLogger(__name__)

CLOSE_S = 0.3
_STEP_S = 0.01
_READ_BYTES = 1024
_IFLAG, _OFLAG, _CFLAG, _LFLAG, _ISPEED, _OSPEED, _CC = range(7)

_REMEDIES = {
    errno.ENOENT: "plug the board in; `ls /dev/serial/by-id` lists the ports",
    errno.ENODEV: "plug the board in again",
    errno.ENXIO: "no board is connected there",
    errno.EIO: "plug the board in again",
    errno.EACCES: "run `sudo usermod -aG dialout edge-daemon`, for the service's user",
    errno.EPERM: "the service's unit does not allow it: see docs/serial.md",
    errno.EBUSY: "another program has it: end that program, such as a serial monitor",
    errno.EWOULDBLOCK: "another program has it: end that program, such as a serial monitor",
    errno.ENOTTY: "it is no serial port",
    errno.EINVAL: "it can't use this baud rate; pick another serial.baud",
}


class SerialPort:
    """An open port: 8 data bits, no parity, one stop bit, no flow control, no echo. Belongs to one thread.

    No other program can open it meanwhile. Closing does not lower DTR, which would restart an Arduino.
    """

    def __init__(self, path: str, baud: int) -> None:
        """Open the port. Raises SerialError with the reason and the remedy."""
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as exc:
            raise self._error(exc) from exc
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.ioctl(self._fd, termios.TIOCEXCL)
            self._set_raw(getattr(termios, f"B{baud}"))
        except (OSError, termios.error) as exc:
            self.close()
            raise self._error(exc) from exc

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._fd

    def read(self) -> bytes:
        """Return what was received, after a poll. Raises SerialError if the port is gone."""
        try:
            received = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as exc:
            raise self._error(exc) from exc
        if not received:
            raise SerialError(f"{self._path} is gone; plug the board in again")
        return received

    def write(self, data: bytes) -> int:
        """Return how many bytes the port took, perhaps 0. Raises SerialError if the port is gone."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            raise self._error(exc) from exc

    def close(self) -> None:
        """Release the port, after the board has taken all bytes or CLOSE_S seconds.

        Bytes that it has not taken then are dropped, as the kernel would wait 30 s for them.
        """
        try:
            for _ in range(round(CLOSE_S / _STEP_S)):
                if not any(fcntl.ioctl(self._fd, termios.TIOCOUTQ, bytes(4))):
                    break
                time.sleep(_STEP_S)
            else:
                termios.tcflush(self._fd, termios.TCOFLUSH)
        except (OSError, termios.error):
            log.debug("%s is gone already", self._path)
        os.close(self._fd)

    def _set_raw(self, speed: int) -> None:
        settings = termios.tcgetattr(self._fd)
        settings[_IFLAG] = termios.IGNBRK
        settings[_OFLAG] = settings[_LFLAG] = 0
        settings[_CFLAG] = termios.CS8 | termios.CREAD | termios.CLOCAL
        settings[_ISPEED] = settings[_OSPEED] = speed
        settings[_CC][termios.VMIN] = 1
        settings[_CC][termios.VTIME] = 0
        termios.tcsetattr(self._fd, termios.TCSANOW, settings)

    def _error(self, exc: OSError | termios.error) -> SerialError:
        number = exc.args[0]
        remedy = _REMEDIES.get(number)
        return SerialError(f"{self._path}: {os.strerror(number)}{f'; {remedy}' if remedy else ''}")
