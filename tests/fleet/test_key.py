from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.config.fleet import FleetOptions
from edge_daemon.domain.errors import FleetError
from edge_daemon.fleet.key import FLEET_KEY, read_key

HEXADECIMAL = "00112233445566778899aabbccddeeff"


def test_the_file_comes_first_then_the_credential_then_the_environment(tmp_path: Path) -> None:
    for name, byte in (("file", "11"), ("credential", "22")):
        (tmp_path / name).write_text(byte * 16 + "\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), FLEET_KEY.variable: "33" * 16}
    both = FleetOptions(group="g", key_file=str(tmp_path / "file"), credential="credential")
    assert read_key(both, environ) == b"\x11" * 16
    assert read_key(FleetOptions(group="g", credential="credential"), environ) == b"\x22" * 16
    assert read_key(FleetOptions(group="g"), environ) == b"\x33" * 16


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not hexadecimal", "not written in hexadecimal digits; make one with `openssl rand -hex 32`"),
        (HEXADECIMAL[:-2], "has 15 bytes, at least 16"),
        ("", "has 0 bytes"),
    ],
)
def test_a_bad_key_is_named_and_never_shown(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(FleetError) as caught:
        read_key(FleetOptions(group="g", key_file=str(path)), {})
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert not text or text not in str(caught.value)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"fleet\.group needs a key"):
        read_key(FleetOptions(group="g"), {})
    with pytest.raises(FleetError, match="No such file"):
        read_key(FleetOptions(group="g", key_file=str(tmp_path / "nowhere")), {})
    with pytest.raises(FleetError, match="CREDENTIALS_DIRECTORY is not set"):
        read_key(FleetOptions(group="g", credential="name"), {})
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(FleetError, match="not UTF-8"):
        read_key(FleetOptions(group="g", key_file=str(tmp_path / "binary")), {})
