"""A camera that learns by button: frames in, labels out, taught by a press."""

__version__ = "0.1.0"
