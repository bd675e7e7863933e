"""The tree of errors. Each names a condition a user can act on; its text says what to do."""


class EdgeError(Exception):
    """Base of every named failure; the command line prints it as one line and exits 1."""


class ConfigError(EdgeError, ValueError):
    """The configuration is wrong: the text names the file, line, key, value and what would be right."""


class CameraError(EdgeError):
    """A frame source can't be opened or has stopped delivering; opening it again may help."""


class FilmError(CameraError):
    """A film makes its decoder crash; opening the same file again can't help."""


class ImageError(EdgeError, ValueError):
    """A file or array isn't an image this program reads."""


class ModelError(EdgeError, ValueError):
    """A model file is missing, damaged, or of a kind that can't be used here."""


class EmbeddingError(EdgeError, ValueError):
    """An embedding is zero, not finite, or of another length than the first."""


class LabelError(EdgeError, ValueError):
    """A label is empty, too long, or holds a character that topics can't carry."""


class NoExamplesError(EdgeError, LookupError):
    """A prediction, undo or clear was asked of a classifier or store that holds nothing for it."""


class StoreError(EdgeError):
    """The example store can't be opened, read or written."""


class ArchiveError(EdgeError, ValueError):
    """An import file (archive, folder, JSON) is not what it claims to be."""


class BrokerError(EdgeError):
    """The MQTT broker refused us or its settings (TLS, password file) are unusable."""


class FleetError(EdgeError):
    """The fleet's key can't be used, or an example can't be shared."""


class PanelError(EdgeError):
    """A GPIO pin or the pin factory can't be used."""


class WebError(EdgeError):
    """The page can't be served as configured: its address or its token."""


class OutputError(EdgeError):
    """A file that a command should write exists, or can't be written."""


class RequestError(EdgeError, ValueError):
    """A request over MQTT or the page is malformed; the sender is told, nothing is changed."""
