"""Preflight checks before a start or a reload: every error that can be found without opening devices.

`run`, a reload and `config check` use the same checks in the same order, so they report the same line. The
checks create and open nothing: another daemon, perhaps the one to be reloaded, may run at the same time.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from edge_daemon.app.model_factory import (
    build_embedder,
    configured_model,
    model_path,
    resolve_model,
    store_path,
    with_model,
)
from edge_daemon.board.memory import is_service
from edge_daemon.config.camera import PicameraOptions, ReplayOptions, StreamOptions
from edge_daemon.config.hidden_paths import hidden_paths
from edge_daemon.config.mqtt import TlsOptions
from edge_daemon.config.schema import Config, LoadedConfig
from edge_daemon.domain.errors import ConfigError, EdgeError, ImageError, ModelError, WebError
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.example_store.database import check_path
from edge_daemon.fleet.key import read_key
from edge_daemon.imaging.regions import Box
from edge_daemon.system.clock import SystemClock
from edge_daemon.system.secrets import CREDENTIALS_DIRECTORY

if TYPE_CHECKING:
    from edge_daemon.config.web import Address

log = logging.getLogger(__name__)

Environment: TypeAlias = Mapping[str, str]
PreflightCheck: TypeAlias = Callable[[Config, Environment], None]
FileMarks: TypeAlias = frozenset[tuple[str, int, int, int]]
"""Path, inode, size and time of change (ns) of each file."""


class Prepared(Struct, frozen=True):
    """A checked configuration and its model; `embedder` is None for `model.features: auto`."""

    config: Config
    model: str
    """Name or path of the model, which the configuration need not name, see `configured_model`."""
    embedder: Embedder | None
    classes: Sequence[str] = ()
    """The model's own class names, for `classifier.type: pretrained`."""
    files: FileMarks | None = None
    """State of the files that were read; None if it is not compared."""
    loaded: LoadedConfig | None = None
    """The configuration with the source of each value, if it was loaded from a file."""

    def is_current(self, config: Config) -> bool:
        """Return whether `config` and its files are unchanged since they were prepared."""
        if config != self.config or config.model.features == "auto":
            return False
        return self.files is None or self.files == file_marks(config)


class Running(Struct, frozen=True):
    """The daemon that a reload replaces, whose ports become free. Frame size in pixels, if known."""

    config: Config
    frame_size: tuple[int, int] | None = None


def preflight(
    config: Config, environment: Environment = os.environ, running: Running | None = None
) -> Prepared:
    """Run every check and load the model. Raises the EdgeError that a start would raise."""
    _warn_of_hidden_paths(config)
    resolved = resolve_model(config)
    files = file_marks(resolved)
    prepared = replace(load_model(resolved), config=config, files=files)
    for check in CHECKS:
        check(config, environment)
    if running is not None:
        _check_replay(config, environment)
        _check_against_running(config, running)
    return prepared


def _warn_of_hidden_paths(config: Config, root: Path = Path("/")) -> None:
    """Log why the service can't use files that other programs can; the error names the permission only."""
    if is_service(root):
        for folder, fault in hidden_paths(config):
            if not os.access(folder, os.X_OK):
                log.warning("%s", fault)


def file_marks(config: Config) -> FileMarks:
    """Return the state of the files that the configuration names, such as those of secrets and the model."""
    tls = config.mqtt.tls
    named = (
        _camera_file(config),
        config.mqtt.password_file,
        tls.ca_file,
        tls.cert_file,
        tls.key_file,
        config.model.delegate,
    )
    paths = {path for path in (*named, config.web.token_file, config.fleet.key_file) if path is not None}
    with suppress(ModelError):
        paths.update(map(str, _model_files(config)))
    marks = set()
    for path in paths:
        with suppress(OSError):
            state = os.stat(path)
            marks.add((path, state.st_ino, state.st_size, state.st_mtime_ns))
    return frozenset(marks)


def _camera_file(config: Config) -> str | None:
    """Return the file or folder that is read when the camera is opened."""
    match config.camera:
        case StreamOptions(password_file=path) | PicameraOptions(tuning_file=path) | ReplayOptions(path=path):
            return path
    return None


def _model_files(config: Config) -> list[Path]:
    """Return the model file and, where its class names are used, the files that may hold them."""
    model = model_path(config)
    if config.classifier.type != "pretrained":
        return [model]
    from edge_daemon.models.class_names import label_file_names

    return [model, *(model.with_name(name) for name in label_file_names(model.stem))]


def refusals(config: Config, environment: Environment = os.environ) -> Iterator[EdgeError]:
    """Yield the error of each failed check; a start would raise the first one.

    Checks that need a credential which only the service can read are skipped.
    """
    unread = unread_credentials(config, environment)
    for check in (_check_model, *CHECKS, _check_replay):
        if check not in _SECRETS or f"{_SECRETS[check]}.credential" not in unread:
            try:
                check(config, environment)
            except EdgeError as exc:
                yield exc


def unread_credentials(config: Config, environment: Environment = os.environ) -> list[str]:
    """Return the keys in use whose credential systemd gives only to the service."""
    if CREDENTIALS_DIRECTORY in environment:
        return []
    sections = {
        "fleet": (config.fleet.group, config.fleet.key_file, config.fleet.credential),
        "mqtt": (config.mqtt.host, config.mqtt.password_file, config.mqtt.credential),
        "web": (config.web.listen, config.web.token_file, config.web.credential),
    }
    if isinstance(config.camera, StreamOptions):
        camera = config.camera
        sections["camera"] = (camera.username, camera.password_file, camera.credential)
    return [
        f"{name}.credential"
        for name, (used, file, credential) in sections.items()
        if used is not None and file is None and credential is not None
    ]


def load_model(config: Config) -> Prepared:
    """Load the model, and its class names if they are needed. Raises ModelError."""
    model = configured_model(config)
    config = with_model(config, model)
    embedder = build_embedder(config)
    if config.classifier.type != "pretrained":
        return Prepared(config, model, None if config.model.features == "auto" else embedder)
    from edge_daemon.models.class_names import load_class_names

    return Prepared(config, model, embedder, load_class_names(model_path(config), embedder.size))


def _check_model(config: Config, environment: Environment) -> None:
    load_model(config)


def _check_fleet(config: Config, environment: Environment) -> None:
    if config.fleet.group is not None:
        read_key(config.fleet, environment)


def _check_store(config: Config, environment: Environment) -> None:
    check_path(store_path(config))


def _check_camera(config: Config, environment: Environment) -> None:
    if isinstance(config.camera, StreamOptions):
        from edge_daemon.camera.stream import read_password

        read_password(config.camera, environment)


def _check_password(config: Config, environment: Environment) -> None:
    if config.mqtt.host is not None:
        from edge_daemon.mqtt.credentials import read_credentials

        read_credentials(msgspec.structs.replace(config.mqtt, tls=TlsOptions()), environment)


def _check_tls(config: Config, environment: Environment) -> None:
    if config.mqtt.host is not None and config.mqtt.tls.enabled:
        from edge_daemon.mqtt.credentials import tls_context

        tls_context(config.mqtt.tls)


def _check_token(config: Config, environment: Environment) -> None:
    if config.web.listen is not None:
        from edge_daemon.config.web import parse_listen
        from edge_daemon.web.auth import check_reach, read_token

        token = read_token(config.web, environment)
        check_reach(parse_listen(config.web.listen), token, config.web.hosts)


def _check_page(config: Config, environment: Environment) -> None:
    """Check that the web page's packages are installed, and that its address belongs to this machine."""
    if config.web.listen is None:
        return
    try:
        import edge_daemon.web.server  # noqa: F401
    except ImportError as exc:
        from edge_daemon.system.pip_hint import pip_install

        raise WebError(
            f"the page needs {exc.name}; run {pip_install('web')}, or leave web.listen out"
        ) from exc
    from edge_daemon.config.web import parse_listen

    _try_to_bind(parse_listen(config.web.listen), claim=False)


def _check_replay(config: Config, environment: Environment) -> None:
    """Read the first image of a replay: missing files, unlike a lost camera, do not return by themselves."""
    if not isinstance(config.camera, ReplayOptions):
        return
    from edge_daemon.camera.replay import ReplaySource

    with ExitStack() as stack:
        source = ReplaySource(config.camera, SystemClock(), sleep=lambda _: None)
        stack.callback(source.close)
        source.open()
        if config.regions and (frame := source.read()) is not None:
            check_regions(config, frame.size)


CHECKS: tuple[PreflightCheck, ...] = (
    _check_fleet,
    _check_store,
    _check_camera,
    _check_password,
    _check_tls,
    _check_page,
    _check_token,
)
_SECRETS: Mapping[PreflightCheck, str] = {
    _check_camera: "camera",
    _check_fleet: "fleet",
    _check_password: "mqtt",
    _check_token: "web",
}


def check_regions(config: Config, frame_size: tuple[int, int]) -> None:
    """Check each region against a frame of this width and height. Raises ConfigError."""
    for region in config.regions:
        try:
            Box(*region.box).pixels(*frame_size)
        except ImageError as exc:
            raise ConfigError(f"region '{region.name}': {exc}") from exc


def _check_against_running(config: Config, running: Running) -> None:
    """Check against the running daemon: the size of its frames, and its port."""
    if running.frame_size is not None and config.camera == running.config.camera:
        check_regions(config, running.frame_size)
    if config.web.listen is None:
        return
    from edge_daemon.config.web import parse_listen

    address, held = parse_listen(config.web.listen), running.config.web.listen
    if held is None or parse_listen(held).port != address.port:
        _try_to_bind(address, claim=True)


def _try_to_bind(address: Address, *, claim: bool) -> None:
    """Bind the address briefly; without `claim` at any port, because a running service may use its port.

    An address that no interface has yet, as at boot, is accepted: the page waits for it.
    """
    from edge_daemon.web.listener import bind_error, network_fault

    family = socket.AF_INET6 if ":" in address.ip else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as channel:
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            channel.bind((address.ip, address.port if claim else 0))
    except OSError as exc:
        if network_fault(exc) is None:
            raise bind_error(address.ip, address.port, exc) from exc
