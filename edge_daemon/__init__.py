"""A camera that learns by button: frames in, labels out, taught by a press.

The public Python names are those of `__all__`; each is imported when it is first used. All other modules
are internal.
"""

__version__ = "0.1.0"

__all__ = ["Embedder", "ExampleStore", "KNNClassifier", "__version__", "load_config"]

_PUBLIC = {
    "Embedder": ("edge_daemon.tflite.embedder", "TfliteEmbedder"),
    "ExampleStore": ("edge_daemon.example_store.store", "ExampleStore"),
    "KNNClassifier": ("edge_daemon.learning.classifiers.knn", "KNNClassifier"),
    "load_config": ("edge_daemon.config.schema", "load_config"),
}

TYPE_CHECKING = False  # type checkers take it for typing.TYPE_CHECKING, whose import would cost time
if TYPE_CHECKING:
    from edge_daemon.config.schema import load_config
    from edge_daemon.example_store.store import ExampleStore
    from edge_daemon.learning.classifiers.knn import KNNClassifier
    from edge_daemon.tflite.embedder import TfliteEmbedder as Embedder
else:

    def __getattr__(name):
        """Import a public name."""
        if name not in _PUBLIC:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        module, attribute = _PUBLIC[name]
        value = globals()[name] = getattr(import_module(module), attribute)
        return value
