"""The doctor's report: all that helps, no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_daemon.cli import doctor_report as report
from edge_daemon.cli.checks.check import Check
from edge_daemon.cli.doctor_report import write_report
from edge_daemon.cli.main import main
from edge_daemon.config.schema import Config, load_config

SKIPS = [f"--skip={name}" for name in ("gpio", "groups", "model", "store", "disk", "clock")]


def test_it_holds_checks_machine_settings_and_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.txt"
    settings = ["--set=camera.type=synthetic", "--set=mqtt.host=null", "--set=web.listen=8080"]

    assert main(["doctor", "--json", f"--report={path}", *SKIPS, *settings]) == 0

    printed = capsys.readouterr()
    checks = [json.loads(line) for line in printed.out.splitlines()]
    text = path.read_text()
    assert str(path) in printed.err
    for check in checks:
        assert check["detail"] in text
    for part in ("== Machine", "Python 3", "numpy ", '"type": "synthetic"', '"listen": 8080', "== Log"):
        assert part in text


SECRETS = {
    "password": "hunter two",
    "token": "correct-horse-battery",
    "key": "5e" * 16,
    "credential": 'a"b\\c',
    "variable": "of-the-environment",
    "camera": "peep hole",
    "camera variable": "of-the-camera",
}

FILES = ("password", "token", "key", "camera")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the root folder of a device with every kind of secret, whose log holds all of them."""
    for name in FILES:
        (tmp_path / name).write_text(SECRETS[name] + "\n")
    (tmp_path / report.CREDENTIALS).mkdir(parents=True)
    (tmp_path / report.CREDENTIALS / "mqtt-password").write_text(SECRETS["credential"])
    (tmp_path / "boot/firmware").mkdir(parents=True)
    (tmp_path / report.BOOT_CONFIG).write_text("# psk=none\ndtparam=spi=on\nwifi_psk=open-sesame\n")
    monkeypatch.setenv("EDGE_DAEMON_MQTT_PASSWORD", SECRETS["variable"])
    monkeypatch.setenv("EDGE_DAEMON_CAMERA_PASSWORD", SECRETS["camera variable"])
    log = "\n".join(f"said {secret} aloud" for secret in SECRETS.values())
    monkeypatch.setattr(report, "_journal", lambda: log + "\nmqtt://bob:swordfish@broker, token=abracadabra")
    return tmp_path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_no_secret_is_in_it_wherever_it_was(root: Path, encoding: str) -> None:
    for name in FILES:
        (root / name).write_text(SECRETS[name] + "\n", encoding)
    files = (
        f"mqtt.password_file={root}/password",
        f"web.token_file={root}/token",
        f"fleet.key_file={root}/key",
        f"camera={{type: stream, url: 'rtsp://h/1', username: bob, password_file: {root}/camera}}",
    )
    config = load_config(None, ["mqtt.username=ada-the-first", *files])
    password = SECRETS["password"]
    checks = [Check("broker", "failed", f"refused {password}", f'password: "{password}"')]

    write_report(root / "report.txt", checks, config, root)

    text = (root / "report.txt").read_text()
    for secret in (*SECRETS.values(), "ada-the-first", "swordfish", "abracadabra", "open-sesame"):
        assert secret not in text
        assert json.dumps(secret)[1:-1] not in text
    assert "dtparam=spi=on" in text
    assert f"{root}/password" in text


def test_a_wrong_configuration_still_makes_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "config.yaml"
    wrong.write_text("mqtt: {prot: 1}\n")
    path = tmp_path / "report.txt"

    assert main(["doctor", "--config", str(wrong), "--report", str(path)]) == 1

    assert "did you mean 'port'?" in path.read_text()


def test_an_earlier_report_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong, path = tmp_path / "config.yaml", tmp_path / "report.txt"
    for text in ("mqtt: {prot: 1}\n", "mqtt: {hots: a}\n"):
        wrong.write_text(text)
        assert main(["doctor", "--config", str(wrong), "--report", str(path)]) == 1
    assert "did you mean 'host'?" in path.read_text()


def test_an_existing_file_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("mine")

    assert main(["doctor", "--report", str(path)]) == 1

    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert f"{path} exists" in printed.err
    assert path.read_text() == "mine"


def test_without_a_journal_the_report_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    write_report(tmp_path / "report.txt", [], Config(), tmp_path)
    assert "can't be read" in (tmp_path / "report.txt").read_text()
