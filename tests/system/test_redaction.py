"""Redaction removes secrets of every form and keeps other text."""

from __future__ import annotations

import itertools

import pytest

from edge_daemon.system.redaction import LEFT_OUT, redact, redact_data

SECRETS = [
    "hunter2",
    "hun/ter2",
    "hun@ter2",
    "hu:n/t@er2",
    "p@ss/w@rd:/?#",
    "hünter2",
    "a%40b2c3d4",
    "$ecr&t=;2!",
]
"""Passwords as people choose them."""
PLAIN = ["hunter2", "hun/ter2", "hun@ter2", "hünter2", "a%40b2c3d4", "h:u.n-t_e+r~2="]
"""Those that need no quotes in a log line."""
NAMES = [
    *(
        "password",
        "Password",
        "passwd",
        "pwd",
        "pass",
        "passphrase",
        "mqtt_password",
        "wifi-pwd",
        "db.password",
    ),
    *("token", "access_token", "TOKEN", "EDGE_DAEMON_WEB_TOKEN", "secret", "client_secret", "api_key"),
    *("apikey", "api-key", "x-api-key", "key", "private_key", "psk", "user", "username", "login", "auth"),
    *("sig", "signature", "session", "fleet.key", "EDGE_DAEMON_FLEET_KEY", "password2"),
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "line",
    [
        "connecting to mqtt://ada:{}@broker:1883",
        "rtsp://ada:{}@192.0.2.7:554/stream1?channel=2 can't be opened",
        "camera lost: 'http://:{}@cam.local/video' gave no picture",
        "fetching HTTPS://{}@example.org/model.tflite",
        "two: rtsp://ada:{0}@cam/1 rtsp://bob:{0}@cam/2",
    ],
)
def test_passwords_in_urls_are_left_out(line: str, secret: str) -> None:
    text = redact(line.format(secret))
    assert secret not in text
    assert not {"ada", "bob"} & set(text.replace(":", " ").replace("/", " ").split())
    assert LEFT_OUT in text


@pytest.mark.parametrize("secret", ["my pass word2", 'say "when"2', "it's2"])
def test_a_password_with_spaces_or_quotes_in_a_url_is_left_out(secret: str) -> None:
    for part in secret.split():
        assert part not in redact(f"rtsp://ada:{secret}@cam/stream")


@pytest.mark.parametrize(
    "shape",
    [
        "{name}={secret}",
        "{name}: {secret}",
        "{name} = {secret} was refused",
        "'{name}': '{secret}'",
        '{{"{name}": "{secret}", "port": 1883}}',
        '{name}="{secret}"',
        "http://cam/video?channel=1&{name}={secret}&x=1",
        "rtsp://192.0.2.7:554/{name}={secret}&channel=1",
        "started with --{name} {secret}",
        "started with --{name}={secret}",
    ],
)
def test_named_values_are_left_out(shape: str) -> None:
    for name, secret in itertools.product(NAMES, PLAIN):
        assert secret not in redact(shape.format(name=name, secret=secret))


@pytest.mark.parametrize("secret", ["two words2", "a;b,c&d2", 'with \\"quotes\\"2'])
def test_quoted_values_are_left_out_whole(secret: str) -> None:
    for text in (
        f'password="{secret}" refused',
        f'{{"token": "{secret}"}}',
        f'the password "{secret}" is wrong',
    ):
        redacted = redact(text)
        assert not any(part in redacted for part in secret.replace("\\", "").split())


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer abc.def-ghi_jkl~mno+pqr/stu=",
        "authorization=Basic YWRhOmh1bnRlcjI=",
        "{'Authorization': 'Bearer abc.def-ghi_jkl~mno+pqr/stu='}",
        'Authorization: Digest username="YWRhOmh1bnRlcjI=", response="abc.def-ghi_jkl~mno+pqr/stu="',
        "sent Bearer abc.def-ghi_jkl~mno+pqr/stu= to the proxy",
        "bearer   abc.def-ghi_jkl~mno+pqr/stu=",
        "Cookie: other=1; edge_daemon_session=YWRhOmh1bnRlcjI=",
        "Set-Cookie: a=YWRhOmh1bnRlcjI=; Path=/",
        "ada:YWRhOmh1bnRlcjI=@broker is no host name",
        "host 'ada:YWRhOmh1bnRlcjI=@192.0.2.7:1883' is unknown",
        "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.YWRhOmh1bnRlcjI",
        "the key 0f1e2d3c4b5a69788796a5b4c3d2e1f0 was not taken",
        "read 0F1E2D3C4B5A69788796A5B4C3D2E1F0AABBCCDD",
        "read Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZg==",
        "-----BEGIN RSA PRIVATE KEY-----\nYWRhOmh1bnRlcjI=\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nYWRhOmh1bnRlcjI=",
    ],
)
def test_secrets_without_a_name_are_left_out(line: str) -> None:
    text = redact(line)
    for secret in (
        *("abc.def", "mno+pqr", "YWRhOmh1bnRlcjI", "0f1e2d3c", "0F1E2D3C", "Zm9vYmFy", "eyJ", "MIIE"),
    ):
        assert secret not in text
    assert redact(text) == text


@pytest.mark.parametrize(
    "line",
    [
        "2026-05-01 12:00:00,123 INFO edge_daemon.daemon.daemon: frame: cup (87 %)",
        "the page is at http://127.0.0.1:8080/",
        "web.token_file: can't read the token from /etc/edge_daemon/token: No such file or directory",
        "$CREDENTIALS_DIRECTORY is not set; add LoadCredential= to the unit, or use web.token_file",
        "keyboard: no terminal; buttons: GPIO 17 to 27",
        "model tf2_mobilenet_v2_1.0_224_ptq expects 224x224x3 uint8",
        "/opt/edge-daemon/venv/lib/python3.11/site-packages/ai_edge_litert/interpreter.py:512",
        "monkey: 7 examples; passed: 3; author: 2",
        "fe80::1%eth0 and 192.0.2.7:1883 answered at 10:15:02",
    ],
)
def test_other_text_stays(line: str) -> None:
    assert redact(line) == line


def test_the_values_of_secret_keys_are_left_out_of_data() -> None:
    data = {
        "mqtt": {"host": "broker", "username": "ada", "password_file": "/etc/edge/password", "port": 1883},
        "web": {
            "token": 12345,
            "credential": "web-token",
            "listen": 8080,
            "token_file": None,
            "pwd": ["hunter2"],
        },
        "fleet": {"key": {"nested": "hunter2"}, "key_file": "/etc/edge/key", "group": "hall"},
        "camera": [{"url": "rtsp://ada:hun/t@er2@cam/1"}, "a:hunter2@cam"],
        "tap": True,
        "password": None,
    }
    assert redact_data(data) == {
        "mqtt": {"host": "broker", "username": LEFT_OUT, "password_file": "/etc/edge/password", "port": 1883},
        "web": {
            "token": LEFT_OUT,
            "credential": "web-token",
            "listen": 8080,
            "token_file": None,
            "pwd": LEFT_OUT,
        },
        "fleet": {"key": LEFT_OUT, "key_file": "/etc/edge/key", "group": "hall"},
        "camera": [{"url": f"rtsp://{LEFT_OUT}@cam/1"}, f"{LEFT_OUT}@cam"],
        "tap": True,
        "password": None,
    }
