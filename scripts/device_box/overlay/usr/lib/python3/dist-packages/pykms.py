"""Stands in for the screen library that picamera2 imports; this machine has no screen."""


class _AnyName(type):
    def __getattr__(cls, name: str) -> str:
        return name


class PixelFormat(metaclass=_AnyName):
    """Has any requested format, for previews that are never opened here."""
