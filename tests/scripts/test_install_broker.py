"""scripts/install --with-broker: a real mosquitto with what it writes, and what it leaves alone."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.subscriber import Subscriber
from tests.harness.mosquitto import Mosquitto
from tests.scripts.board import Answers, Board, failed_line, listening

DEBIANS = """# as Debian's package has it
persistence false
include_dir /etc/mosquitto/conf.d
"""
LAN = "# set mqtt.username=edge\n# set mqtt.credential=edge_mqtt-password\n"


class InstalledMosquitto(Mosquitto):
    """A mosquitto with the files of a board, at a free port."""

    def __init__(self, board: Board) -> None:
        self._etc = board.root / "etc/mosquitto"
        super().__init__()

    def _settings(self, *_: object) -> str:
        added = [path.read_text() for path in sorted((self._etc / "conf.d").glob("*.conf"))]
        text = "user root\npersistence false\n" + "".join(added).replace("/etc/mosquitto", str(self._etc))
        assert "listener 1883\n" in text
        return text.replace("listener 1883\n", f"listener {self.port}\n")


class BrokerBoard(Board):
    """A board with Debian's mosquitto, as apt leaves it."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.offer(Answers("1.0"))
        self.etc = self.root / "etc/mosquitto"
        (self.etc / "conf.d").mkdir(parents=True)
        (self.etc / "mosquitto.conf").write_text(DEBIANS)
        self.written = self.etc / "conf.d/edge-daemon.conf"
        self.credential = self.root / "etc/edge_daemon/credentials/mqtt-password"

    def type(self, *lines: str) -> str:
        """Run the installer with --with-broker where these lines are typed; return its output."""
        done = self.type_keys("".join(f"{line}\n" for line in lines))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def type_keys(self, keys: str) -> subprocess.CompletedProcess[str]:
        """Run the installer with --with-broker at a terminal."""
        ours, terminal = pty.openpty()
        try:
            os.write(ours, keys.encode())
            return self.install("--with-broker", stdin=terminal)
        finally:
            os.close(terminal)
            os.close(ours)

    def give_password(self, content: bytes) -> None:
        self.credential.parent.mkdir(parents=True, exist_ok=True)
        self.credential.write_bytes(content)

    def connect(self, port: int, password: Path | None) -> None:
        """Connect as the daemon does. Raises BrokerError."""
        file, name = (None, None) if password is None else (str(password), "edge")
        with Subscriber(MqttOptions("127.0.0.1", port, username=name, password_file=file), "#"):
            pass

    def connect_as_configured(self) -> None:
        """Start the mosquitto and connect with the password; without it the connection is refused."""
        with InstalledMosquitto(self) as broker:
            self.connect(broker.port, self.credential)
            with pytest.raises(BrokerError, match="refuse"):
                self.connect(broker.port, None)
            other = self.place / "other"
            other.write_text("another")
            with pytest.raises(BrokerError, match="refuse"):
                self.connect(broker.port, other)


@pytest.fixture
def board(tmp_path: Path) -> BrokerBoard:
    return BrokerBoard(tmp_path)


def test_for_other_machines_a_password_is_made_and_its_place_is_named(board: BrokerBoard) -> None:
    done = board.install("--with-broker=lan")
    assert done.returncode == 0, done.stderr
    assert "user 'edge'; the password: sudo cat /etc/edge_daemon/credentials/mqtt-password" in done.stdout
    password = board.credential.read_text().strip()
    assert len(password) == 16
    assert password not in done.stdout + done.stderr
    assert board.credential.stat().st_mode & 0o777 == 0o600
    assert (board.etc / "edge-daemon.passwords").stat().st_mode & 0o777 == 0o600
    assert LAN in board.config.read_text()
    board.connect_as_configured()


@pytest.mark.parametrize(
    "content",
    [
        b"two words, ' and \" and $HOME",
        "größe 🙂 \\n: #".encode(),
        b" spaces around \t\n",
        b"-c\r\n",
        b"\xef\xbb\xbfof an editor\n",
        b"x" * 300,
    ],
)
def test_a_password_from_the_file_is_the_one_that_the_broker_accepts(
    board: BrokerBoard, content: bytes
) -> None:
    board.give_password(content)
    done = board.install("--with-broker=lan")
    assert done.returncode == 0, done.stderr
    assert board.credential.read_bytes() == content
    board.connect_as_configured()


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb\n", b"\xff\xfea\0b\0", b"a\0b", b"\xe4"])
def test_a_file_that_holds_no_password_is_one_line_and_the_broker_stays(
    board: BrokerBoard, content: bytes
) -> None:
    board.give_password(content)
    line = failed_line(board.install("--with-broker=lan"))
    assert "mqtt-password must hold one line of UTF-8 text" in line
    assert not board.written.exists()
    assert not [call for call in board.log() if "mosquitto" in call]


def test_for_this_machine_only_there_is_no_password(board: BrokerBoard) -> None:
    done = board.install("--with-broker=loopback")
    assert done.returncode == 0, done.stderr
    assert "port 1883, for programs on this machine only" in done.stdout
    assert not board.credential.exists()
    assert "listener" not in [line.split()[0] for line in board.written.read_text().splitlines()]
    assert "# set mqtt.host=localhost\n" in board.config.read_text()
    assert "username" not in board.config.read_text().rpartition("# set")[2]


def test_again_it_changes_nothing_and_an_upgrade_leaves_it(board: BrokerBoard) -> None:
    board.install("--with-broker=lan")
    password, written = board.credential.read_bytes(), board.written.read_text()
    assert board.install("--with-broker=lan").returncode == 0
    assert (board.credential.read_bytes(), board.written.read_text()) == (password, written)
    board.connect_as_configured()
    hashes = (board.etc / "edge-daemon.passwords").read_text()
    calls = len(board.log())
    assert board.upgrade(Answers("2.0")).returncode == 0
    assert (board.etc / "edge-daemon.passwords").read_text() == hashes
    assert board.written.read_text() == written
    assert not [call for call in board.log()[calls:] if "mosquitto" in call]


@pytest.mark.parametrize("word", ["--uninstall", "--purge"])
def test_the_broker_stays_without_the_service(board: BrokerBoard, word: str) -> None:
    board.install("--with-broker=lan")
    written = board.written.read_text()
    done = board.install(word)
    assert f"kept: mosquitto with {board.written}" in done.stdout
    assert board.written.read_text() == written


def test_it_changes_between_this_machine_and_others(board: BrokerBoard) -> None:
    board.install("--with-broker=loopback")
    listening(board, 1883)
    (board.place / "mosquitto").write_text("active\n")
    assert board.install("--with-broker=lan").returncode == 0
    board.connect_as_configured()
    assert board.install("--with-broker=loopback").returncode == 0
    assert "allow_anonymous" not in board.written.read_text()


def test_a_changed_password_is_used_after_another_run(board: BrokerBoard) -> None:
    board.install("--with-broker=lan")
    board.give_password(b"another one\n")
    assert board.install("--with-broker=lan").returncode == 0
    board.connect_as_configured()


def test_at_a_terminal_it_asks_for_access_and_for_the_password(board: BrokerBoard) -> None:
    said = board.type("y", "typed wrong", "once", " tw'o \" wörds ", " tw'o \" wörds ")
    assert "May other machines connect to the broker" in said
    assert "The two differ." in said
    assert board.credential.read_text() == " tw'o \" wörds \n"
    assert "wörds" not in said
    board.connect_as_configured()
    assert "Password" not in board.type("y")


def test_an_empty_password_at_the_terminal_makes_one(board: BrokerBoard) -> None:
    board.type("y", "")
    assert len(board.credential.read_text().strip()) == 16


@pytest.mark.parametrize("answer", ["", "n", "maybe"])
def test_without_a_yes_it_is_for_this_machine_only(board: BrokerBoard, answer: str) -> None:
    said = board.type(answer)
    assert "for programs on this machine only" in said
    assert not board.credential.exists()


@pytest.mark.parametrize("keys", ["\x04", "y\n\x04", "y\nfirst\n\x04"])
def test_a_question_without_an_answer_changes_nothing(board: BrokerBoard, keys: str) -> None:
    done = board.type_keys(keys)
    assert failed_line(done) == "error: the question was not answered; nothing is changed"
    assert (board.log(), board.target.exists(), board.credential.exists()) == ([], False, False)


def test_without_a_terminal_the_question_is_one_line(board: BrokerBoard) -> None:
    done = board.install("--with-broker")
    assert "give --with-broker=loopback" in failed_line(done)
    assert (done.stdout, board.log(), board.target.exists()) == ("", [], False)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("conf.d/mine.conf", "# mine\nlistener 1884 192.0.2.1\n"),
        ("conf.d/mine.conf", "  allow_anonymous true\n"),
        ("mosquitto.conf", DEBIANS + "password_file /etc/mosquitto/pw\n"),
    ],
)
def test_a_broker_that_someone_set_up_is_named_and_stays(board: BrokerBoard, name: str, content: str) -> None:
    (board.etc / name).write_text(content)
    done = board.install("--with-broker=lan")
    assert f"mosquitto is set up already and stays as it is ({board.etc / name}:" in failed_line(done)
    assert (board.etc / name).read_text() == content
    assert not board.written.exists()
    assert (board.log(), board.target.exists()) == ([], False)


def test_other_settings_of_someone_stay_beside_it(board: BrokerBoard) -> None:
    mine = board.etc / "conf.d/mine.conf"
    mine.write_text("max_queued_messages 5000\n")
    assert board.install("--with-broker=lan").returncode == 0
    assert mine.read_text() == "max_queued_messages 5000\n"
    board.connect_as_configured()


def test_a_configuration_that_does_not_read_the_folder_is_named(board: BrokerBoard) -> None:
    (board.etc / "mosquitto.conf").write_text("persistence false\n")
    assert "does not include /etc/mosquitto/conf.d" in failed_line(board.install("--with-broker=loopback"))


def test_a_port_of_another_broker_is_named_with_its_program(board: BrokerBoard) -> None:
    listening(board, 1883)
    board.stand_in("ss", """echo 'LISTEN 0 4096 *:1883 *:* users:(("emqx",pid=7,fd=9))'""")
    done = board.install("--with-broker=lan")
    assert "port 1883 is taken by emqx;" in failed_line(done)
    assert (done.stdout, board.log()[1:], board.target.exists()) == ("", [], False)


def test_a_broker_that_does_not_start_gets_its_former_file_back(board: BrokerBoard) -> None:
    board.install("--with-broker=loopback")
    former, configured = board.written.read_text(), board.config.read_text()
    (board.place / "mosquitto").write_text("broken\n")
    log = board.root / "var/log/mosquitto/mosquitto.log"
    log.parent.mkdir(parents=True)
    log.write_text("1: before\n2: Error: no.\n")
    line = failed_line(board.install("--with-broker=lan"))
    assert "mosquitto does not start with " in line
    assert line.endswith("2: Error: no.")
    assert board.written.read_text() == former
    assert board.config.read_text() == configured


def test_without_systemd_it_starts_at_the_next_boot(board: BrokerBoard) -> None:
    (board.root / "run/systemd/system").rmdir()
    done = board.install("--with-broker=lan")
    assert done.returncode == 0, done.stderr
    assert "mosquitto starts at the next boot" in done.stdout
    board.connect_as_configured()
