"""Exception hierarchy. Each class is a condition that users can act on; its text includes the remedy."""


class EdgeError(Exception):
    """Base of every named failure; the command line prints it as one line and exits 1."""


class ConfigError(EdgeError, ValueError):
    """The configuration is wrong: the text names the file, line, key, value and what would be right."""


class CameraError(EdgeError):
    """A frame source can't be opened or stopped delivering frames; opening it again may help."""


class DecoderCrashError(CameraError):
    """A video file makes its decoder crash; opening the same file again can't help."""


class ImageError(EdgeError, ValueError):
    """A file or array is not an image that this program can read."""


class ModelError(EdgeError, ValueError):
    """A model file is missing, damaged or of an unsupported kind."""


class EmbeddingError(EdgeError, ValueError):
    """An embedding is all zeros, not finite, or differs in length from the others."""


class LabelError(EdgeError, ValueError):
    """A label is empty, too long, or contains a forbidden character."""


class NoExamplesError(EdgeError, LookupError):
    """A prediction, undo or clear found no examples."""


class StoreError(EdgeError):
    """The example store can't be opened, read or written."""


class ArchiveError(EdgeError, ValueError):
    """An import file (archive, folder, JSON) has the wrong format or is damaged."""


class BrokerError(EdgeError):
    """The MQTT broker rejected the connection, or its settings (TLS, password file) can't be used."""


class FleetError(EdgeError):
    """The fleet's key can't be used, or an example can't be shared."""


class PanelError(EdgeError):
    """A GPIO pin or the pin factory can't be used."""


class SerialError(EdgeError):
    """A serial port can't be opened or is lost; opening it again may help."""


class WebError(EdgeError):
    """The web page can't be served with the configured address or token."""


class OutputError(EdgeError):
    """An output file exists already or can't be written."""


class RequestError(EdgeError, ValueError):
    """A request from MQTT or the web page is invalid; the sender gets an error reply, nothing changes."""


class ConflictError(RequestError):
    """Someone else changed the same settings meanwhile; nothing changes."""
