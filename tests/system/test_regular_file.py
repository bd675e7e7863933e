"""Files that users name: special files are refused without opening them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from edge_daemon.config.fleet import FleetOptions
from edge_daemon.config.mqtt import TlsOptions
from edge_daemon.config.web import WebOptions
from edge_daemon.config.yaml_source import read_yaml
from edge_daemon.domain.errors import (
    BrokerError,
    ConfigError,
    FleetError,
    ImageError,
    ModelError,
    StoreError,
    WebError,
)
from edge_daemon.example_store.database import check_path
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.fleet.key import read_key
from edge_daemon.imaging.image_io import read_image
from edge_daemon.models.class_names import read_class_names
from edge_daemon.models.export_archive import open_export
from edge_daemon.models.tfjs import read_tfjs_model
from edge_daemon.mqtt.credentials import tls_context
from edge_daemon.system.regular_file import open_regular, read_regular, without_bom
from edge_daemon.tflite.embedder import read_model
from edge_daemon.web.auth import read_token


@pytest.fixture(params=["pipe", "socket", "device"])
def special(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    if request.param == "pipe":
        os.mkfifo("special")
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("special")
    else:
        return Path("/dev/zero")
    return tmp_path / "special"


def test_a_pipe_socket_or_device_is_refused_at_once(special: Path) -> None:
    with pytest.raises(OSError, match=r"it is a (pipe|socket|device), not a regular file"):
        open_regular(special)


def test_every_file_that_a_user_names_is_a_regular_one(special: Path) -> None:
    refused = r"it is a (pipe|socket|device)"
    with pytest.raises(ConfigError, match=refused):
        read_yaml(special)
    with pytest.raises(ImageError, match=refused):
        read_image(special)
    with pytest.raises(ModelError, match=refused):
        read_class_names(special)
    with pytest.raises(ModelError, match=refused):
        read_tfjs_model(special)
    with pytest.raises(Exception, match=refused):
        open_export(special)
    with pytest.raises(StoreError, match=refused):
        ExampleStore(special)
    with pytest.raises(StoreError, match=refused):
        check_path(special)
    with pytest.raises(ModelError, match=refused):
        read_model(special)
    with pytest.raises(WebError, match=refused):
        read_token(WebOptions(token_file=str(special)), {})
    with pytest.raises(FleetError, match=refused):
        read_key(FleetOptions(group="g", key_file=str(special)), {})
    with pytest.raises(BrokerError, match=refused):
        tls_context(TlsOptions(enabled=True, ca_file=str(special)))


def test_no_more_than_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(OSError, match="it has 5 bytes; at most 4"):
        read_regular(path, 4)
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="it has 1048576 MiB; at most 10 MiB"):
        read_regular(path, 10 << 20)


def test_files_without_a_size_are_read() -> None:
    assert b"Name:" in read_regular(Path("/proc/self/status"), 1 << 20)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_never_matters(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "text"

    def write(text: str) -> str:
        path.write_bytes(text.encode(encoding))
        return str(path)

    assert without_bom("Bär".encode(encoding)).decode() == "Bär"
    assert read_yaml(Path(write("device: {id: pi}"))).data == {"device": {"id": "pi"}}
    assert read_class_names(Path(write("Bär\ncat\n"))) == ("Bär", "cat")
    assert read_token(WebOptions(token_file=write("0123456789abcdef\n")), {}) == "0123456789abcdef"
    assert read_key(FleetOptions(group="g", key_file=write("00" * 16)), {}) == bytes(16)
