"""The sources of a secret, for every kind of secret that the device has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_daemon.fleet.key import FLEET_KEY
from edge_daemon.mqtt.credentials import MQTT_PASSWORD
from edge_daemon.system.secrets import Secret, SecretKind, read_secret
from edge_daemon.web.auth import WEB_TOKEN

KINDS = pytest.mark.parametrize("kind", [FLEET_KEY, MQTT_PASSWORD, WEB_TOKEN], ids=lambda kind: kind.name)


@KINDS
def test_a_file_comes_before_a_credential_before_the_environment(kind: SecretKind, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("of the file")
    (tmp_path / "credential").write_text("of systemd")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), kind.variable: "of the environment"}
    found = read_secret(kind, str(file), "credential", environ)
    assert found == Secret("of the file", f"{kind.section}.{kind.name}_file", file)
    found = read_secret(kind, None, "credential", environ)
    assert found == Secret("of systemd", f"{kind.section}.credential", tmp_path / "credential")
    assert read_secret(kind, None, None, environ) == Secret("of the environment", f"${kind.variable}")
    assert read_secret(kind, None, None, {}) is None


@KINDS
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"\xc3", "not UTF-8; write it as UTF-8 text"),
        (b"\xff\xfea", "not UTF-8"),
        (b"x" * 70_000, "it has 70000 bytes; at most"),
    ],
)
def test_a_file_that_can_t_be_read_is_named_with_its_key(
    kind: SecretKind, content: bytes | None, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    for file, credential, key in ((str(path), None, f"{kind.name}_file"), (None, "secret", "credential")):
        with pytest.raises(kind.error) as caught:
            read_secret(kind, file, credential, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
        assert str(caught.value).startswith(f"{kind.section}.{key}: can't read the {kind.name} from {path}: ")
        assert reason in str(caught.value)


@KINDS
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff", "is not UTF-8; write it as UTF-8 text"),
        (b"\xc3(", "is not UTF-8"),
        ("ä".encode() * 40_000, "has 80000 bytes as UTF-8; at most"),
    ],
)
def test_an_unusable_variable_is_named(kind: SecretKind, content: bytes, reason: str) -> None:
    with pytest.raises(kind.error) as caught:
        read_secret(kind, None, None, {kind.variable: os.fsdecode(content)})
    assert str(caught.value).startswith(f"${kind.variable}: the {kind.name} {reason}")


def test_the_limit_is_that_of_the_text_in_utf_8(tmp_path: Path) -> None:
    """Text in UTF-16 is shorter than the same text in UTF-8."""
    path = tmp_path / "secret"
    path.write_bytes(("€" * 30_000).encode("utf-16"))
    with pytest.raises(MQTT_PASSWORD.error, match="has 90000 bytes as UTF-8; at most 65535"):
        read_secret(MQTT_PASSWORD, str(path), None, {})


@KINDS
def test_a_credential_outside_the_service_is_an_error_with_its_remedy(kind: SecretKind) -> None:
    with pytest.raises(kind.error) as caught:
        read_secret(kind, None, "name", {kind.variable: "not used"})
    assert str(caught.value) == (
        f"{kind.section}.credential 'name': $CREDENTIALS_DIRECTORY is not set; "
        f"add LoadCredential= to the unit, or use {kind.section}.{kind.name}_file"
    )


def test_a_secret_is_not_part_of_its_representation() -> None:
    assert "hidden" not in repr(Secret("hidden", "$VARIABLE"))
