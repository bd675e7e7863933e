"""Warnings of a store that is not the one that its user means: in memory, or not the service's."""

from __future__ import annotations

import logging
import os

from edge_daemon.app.model_factory import store_path
from edge_daemon.board.mounts import mount_fault
from edge_daemon.config import paths
from edge_daemon.config.schema import Config
from edge_daemon.system.file_owner import user_name

log = logging.getLogger(__name__)


def warn_of_store(config: Config) -> None:
    """Warn of a store that is lost at the next boot, and of a user's own beside an installed service."""
    if fault := mount_fault(store_path(config)):
        log.warning("%s; %s", fault.reason, fault.remedy)
    warn_of_other_store(config, "examples")


def warn_of_other_store(config: Config, command: str) -> None:
    """Warn of a user's own store beside an installed service; `command` can use the service's."""
    if config.store.path is None and is_beside_service():
        log.warning(
            "this is the store of the user %s, %s; the installed service has its own: "
            "`sudo -u edge-daemon edge-daemon %s …`",
            user_name(),
            store_path(config),
            command,
        )


def is_beside_service() -> bool:
    """Return whether a service is installed whose state folder is not this user's, which nothing names."""
    named = {"STATE_DIRECTORY", "XDG_STATE_HOME"} & os.environ.keys()
    return not named and paths.SERVICE_STATE.is_dir() and paths.state_dir() != paths.SERVICE_STATE
