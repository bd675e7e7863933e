"""`edge-daemon sort` at a real broker, on gpiozero's mock pins."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from edge_daemon.cli.main import main
from edge_daemon.system.clock import utc_ms
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.running_command import BASE, TIMEOUT_S, started

MOCK_PINS = {"GPIOZERO_PIN_FACTORY": "mock"}
LONG = "nut:5:0.2:60"


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


def object_events(label: str) -> Iterator[str]:
    """Events of objects that are captured as they are published."""
    for number in count():
        at = utc_ms(datetime.now(UTC))
        event = {"event_type": "object", "region": "frame", "label": label, "captured_at": at}
        yield json.dumps({**event, "event_id": f"{label}-{number}"})


def test_each_line_says_what_was_switched_when(broker: Mosquitto, tmp_path: Path) -> None:
    words = ["--eject", "nut:5:0.2:0.3", "--eject", "bolt:6:0.2:0.3"]
    with started("sort", words, broker, tmp_path, MOCK_PINS) as program, Listener(broker.port) as device:
        program.wait_for_log("connected")
        program.publish_until_lines(device, f"{BASE}/event", object_events("nut"), 1)
        on, off = program.wait_for_lines(2)[:2]
        program.process.terminate()
        assert program.process.wait(TIMEOUT_S) == 0
    assert {key: on[key] for key in ("label", "pin", "state")} == {"label": "nut", "pin": 5, "state": "on"}
    assert {key: off[key] for key in ("label", "pin", "state")} == {"label": "nut", "pin": 5, "state": "off"}
    times = [datetime.fromisoformat(line["at"]) for line in (on, off)]
    assert 0.2 < (times[1] - times[0]).total_seconds() < TIMEOUT_S


def test_a_region_that_the_device_lacks_is_a_warning(broker: Mosquitto, tmp_path: Path) -> None:
    words = [*NUT, "--region", "top"]
    with started("sort", words, broker, tmp_path, MOCK_PINS) as program, Listener(broker.port) as device:
        device.publish(f"{BASE}/info", '{"regions": ["bin", "gate"]}', retain=True)
        program.wait_for_log("the device has no region 'top'; its regions are bin, gate")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_outputs_are_off_after_every_way_to_stop_it(
    broker: Mosquitto, tmp_path: Path, number: signal.Signals
) -> None:
    """SIGHUP is what a closed terminal sends."""
    with (
        started("sort", ["--eject", LONG], broker, tmp_path, MOCK_PINS) as program,
        Listener(broker.port) as device,
    ):
        program.wait_for_log("connected")
        program.publish_until_lines(device, f"{BASE}/event", object_events("nut"), 1)
        program.process.send_signal(number)
        assert program.process.wait(TIMEOUT_S) == 0
        assert [line["state"] for line in program.lines] == ["on", "off"]
        assert "Traceback" not in program.log


def test_a_reader_that_goes_away_ends_it_without_a_traceback(broker: Mosquitto, tmp_path: Path) -> None:
    words = ["sort", "--json", "--set", f"mqtt.host={broker.host}", "--set", f"mqtt.port={broker.port}"]
    words += ["--set", "device.id=pi", "--eject", "nut:5:0.1:0.2"]
    script = f'GPIOZERO_PIN_FACTORY=mock "{sys.executable}" -m edge_daemon "$@" | head -n 1'
    events = object_events("nut")
    with (
        Listener(broker.port) as device,
        subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", script, "bash", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        for _ in range(round(TIMEOUT_S / 0.2)):
            device.publish(f"{BASE}/event", next(events))
            try:
                process.wait(0.2)
                break
            except subprocess.TimeoutExpired:
                continue
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert json.loads(out)["state"] == "on"
    assert process.returncode == 1
    assert b"Traceback" not in err


def test_a_device_that_publishes_nothing_is_named(broker: Mosquitto, tmp_path: Path) -> None:
    with started("sort", ["--eject", LONG], broker, tmp_path, MOCK_PINS) as program:
        program.wait_for_log(f"no device publishes at {BASE}; is it running")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "required: --eject"),
        (["--eject", "nut"], "'nut' is not LABEL:PIN:TRAVEL_S:HOLD_S[:servo]"),
        (["--eject", "nut:5:0.8:0.1:crane"], "is not LABEL:PIN:TRAVEL_S:HOLD_S[:servo]"),
        (["--eject", "nut:5:soon:0.1"], "is not LABEL:PIN"),
        (["--eject", ":5:0.8:0.1"], "a label can't be empty"),
        (["--eject", "a/b:5:0.8:0.1"], "label 'a/b' holds '/'"),
        (["--eject", "nut:28:0.8:0.1"], "PIN 28 is no BCM number from 0 to 27"),
        (["--eject", "nut:-1:0.8:0.1"], "PIN -1 is no BCM number"),
        (["--eject", "nut:5:-0.1:0.1"], "TRAVEL_S must be 0 or more"),
        (["--eject", "nut:5:0.1:0"], "HOLD_S more than 0"),
        (["--eject", "nut:5:nan:0.1"], "TRAVEL_S must be 0 or more"),
        (["--eject", "nut:5:0.1:inf"], "HOLD_S more than 0"),
    ],
)
def test_wrong_arguments_are_usage_errors(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sort", *words])
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


NUT = ["--eject", "nut:5:0.8:0.1"]
REGIONS = ["--set", "regions=[{name: bin, box: [0, 0, 0.5, 1]}, {name: gate, box: [0.5, 0, 0.5, 1]}]"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([*NUT, "--set", "mqtt.host=null"], "mqtt.host: no broker is configured"),
        ([*NUT, "--set", "mqtt.username=ann", "--set", "mqtt.password_file=/none/word"], "/none/word"),
        ([*NUT, "--region", "left", *REGIONS], "no region 'left'; regions are bin, gate"),
        ([*NUT, "--eject", "nut:6:0.8:0.1"], "label 'nut' is given twice"),
        ([*NUT, "--eject", "bolt:5:0.8:0.1"], "BCM 5 is already used by the ejector of 'nut'"),
        ([*NUT, "--set", "buttons=[{pin: 17, label: nut, led: 5}]"], "BCM 5 is already used by LED of 'nut'"),
        ([*NUT, "--set", "buttons=[{pin: 5, label: nut}]"], "BCM 5 is already used by button 'nut'"),
    ],
)
def test_arguments_that_do_not_fit_the_configuration_are_one_line(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    assert main(["sort", *words]) == 1
    captured = capsys.readouterr()
    assert text in captured.err
    assert (captured.out, captured.err.count("\n")) == ("", 1)


def test_a_machine_without_pins_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge_daemon", "sort", *NUT]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "HOME": "/"}
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("edge-daemon: outputs can't be used: ")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []  # lgpio makes a file in the working directory
