"""Change of the model of a configuration file and its examples: both change, or neither."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from edge_daemon.app.model_factory import build_object_embedder, build_resolved_embedder, store_path
from edge_daemon.app.preflight import load_model
from edge_daemon.config.paths import managed_state_dir
from edge_daemon.config.schema import Config
from edge_daemon.config.yaml_edit import check_writable, read_config_text, with_value, write_config_text
from edge_daemon.domain.errors import ConfigError, ModelError
from edge_daemon.example_store.importing import ImportReport, ProgressTracker, no_progress
from edge_daemon.example_store.reembedding import reembed
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.system.file_owner import as_owner_of


class ConfigEdit(Struct, frozen=True):
    """The file of a configuration, its text, and its text with another model."""

    path: Path
    before: str
    after: str

    def write(self) -> None:
        """Write the new text. Raises ConfigError."""
        if self.after != self.before:
            write_config_text(self.path, self.before, self.after)

    def undo(self) -> None:
        """Write the former text again if the new one was written. Raises ConfigError."""
        if self.after != self.before and read_config_text(self.path) == self.after:
            write_config_text(self.path, self.after, self.before)


def plan_edit(path: Path, configured: str | None, name: str) -> ConfigEdit:
    """Return the change of a file whose `model.name` is `configured`. Nothing is written.

    Raises ConfigError if the file can't be written, or can't be changed without changing something else.
    """
    text = read_config_text(path)
    if configured == name:
        return ConfigEdit(path, text, text)
    after = with_value(text, "model.name", name, str(path))
    check_writable(path)
    return ConfigEdit(path, text, after)


def used_store(config: Config) -> Path:
    """Return the path of the configuration's store: for root the service's, once that is installed."""
    return store_path(config, managed_state_dir())


def on_used_store(config: Config) -> Config:
    """Return the configuration with the path of its store."""
    return replace(config, store=replace(config.store, path=str(used_store(config))))


def change_model(
    config: Config,
    edit: ConfigEdit,
    *,
    partial: bool = False,
    track: ProgressTracker = no_progress,
) -> ImportReport:
    """Embed the examples with the model of `config`, which is that of `edit`, and write the file.

    The file is replaced inside the store's transaction, so that an error leaves both as they were. A process
    that is killed between the two leaves the new file and the old embeddings; another call completes it.
    With `partial`, examples that can't be embedded again stay in their space. Raises ModelError, StoreError,
    ConfigError.
    """
    path = used_store(config)
    config = on_used_store(config)
    with _lock(edit.path):
        load_model(config)
        if not os.path.exists(path):
            edit.write()
            return ImportReport()
        with _open(path) as store:
            return _move_examples(store, config, edit, partial, track)


def _move_examples(
    store: ExampleStore, config: Config, edit: ConfigEdit, partial: bool, track: ProgressTracker
) -> ImportReport:
    embedder = build_resolved_embedder(config)

    def write(report: ImportReport) -> None:
        if report.problems and not partial:
            raise _refusal(report)
        edit.write()

    try:
        return reembed(store, embedder, track, build_object_embedder(embedder), write)
    except BaseException:
        edit.undo()
        raise


def _refusal(report: ImportReport) -> ModelError:
    more = f" (and {len(report.problems) - 1} more)" if len(report.problems) > 1 else ""
    return ModelError(
        f"{report.problems[0]}{more}; nothing was changed. `--partial` changes the model for the others, and "
        "leaves such examples unused until this model is used again"
    )


def _open(path: Path) -> ExampleStore:
    """Open an existing store; root with the rights of its owner, who could have planted links beside it."""
    with as_owner_of(path.parent):
        return ExampleStore(path)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Lock the folder of a configuration against another change of the model. Raises ConfigError."""
    with ExitStack() as stack:
        try:
            folder = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, folder)
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise ConfigError(f"{path}: another process is changing the model; wait for its end") from exc
        except OSError as exc:
            raise ConfigError(f"{path}: its folder can't be locked: {exc.strerror}") from exc
        yield
