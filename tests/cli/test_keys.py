"""`edge-daemon keys` at a real broker. The keys themselves are checked on a machine with uinput."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import pytest

from edge_daemon.cli.main import main
from tests.harness.evdev_stand_in import evdev_stand_in
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.running_command import BASE, TIMEOUT_S, started

REGIONS = ["--set", "regions=[{name: bin, box: [0, 0, 0.5, 1]}, {name: gate, box: [0.5, 0, 0.5, 1]}]"]
INFO = '{"regions": ["bin", "gate"]}'


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


@pytest.fixture
def with_evdev(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that finds the stand-in."""
    return evdev_stand_in(tmp_path / "modules")


def test_each_line_is_a_key_that_goes_down_or_up(
    broker: Mosquitto, tmp_path: Path, with_evdev: dict[str, str]
) -> None:
    words = ["--key", "left=KEY_LEFT", "--key", "right=KEY_RIGHT", "--dead-man", "60"]
    with started("keys", words, broker, tmp_path, with_evdev) as program, Listener(broker.port) as device:
        device.publish(f"{BASE}/label", "left", retain=True)
        program.wait_for_log("connected")
        program.publish_until_lines(device, f"{BASE}/result", repeat("{}"), 1)
        device.publish(f"{BASE}/label", "right", retain=True)
        program.wait_for_lines(3)
        program.process.terminate()
        assert program.process.wait(TIMEOUT_S) == 0
        changes = [(line["key"], line["state"]) for line in program.lines]
    left, right = "KEY_LEFT", "KEY_RIGHT"
    assert changes == [(left, "down"), (left, "up"), (right, "down"), (right, "up")]


@pytest.mark.parametrize(("words", "region"), [([], "bin"), (["--region", "gate"], "gate")])
def test_on_another_machine_the_regions_are_those_of_the_device(
    words: list[str], region: str, broker: Mosquitto, tmp_path: Path, with_evdev: dict[str, str]
) -> None:
    words = ["--key", "left=KEY_LEFT", "--dead-man", "60", *words]
    with started("keys", words, broker, tmp_path, with_evdev) as program, Listener(broker.port) as device:
        device.publish(f"{BASE}/{region}/label", "left", retain=True)
        device.publish(f"{BASE}/info", INFO, retain=True)
        program.wait_for_log("connected")
        program.publish_until_lines(device, f"{BASE}/{region}/result", repeat("{}"), 1)
        assert program.lines[0]["key"] == "KEY_LEFT"


def test_a_region_that_the_device_lacks_is_a_warning(
    broker: Mosquitto, tmp_path: Path, with_evdev: dict[str, str]
) -> None:
    words = ["--key", "left=KEY_LEFT", "--region", "top"]
    with started("keys", words, broker, tmp_path, with_evdev) as program, Listener(broker.port) as device:
        for info in ("[]", "{", '{"regions": 1}', INFO):
            device.publish(f"{BASE}/info", info, retain=True)
        program.wait_for_log("the device has no region 'top'; its regions are bin, gate")


def test_a_rate_of_results_below_the_dead_mans_time_is_a_warning(
    broker: Mosquitto, tmp_path: Path, with_evdev: dict[str, str]
) -> None:
    words = ["--key", "left=KEY_LEFT", "--set", "mqtt.result_per_s=0.5"]
    with started("keys", words, broker, tmp_path, with_evdev) as program:
        program.wait_for_log("results come every 2 s, and --dead-man is 1.5 s")


def test_a_missing_evdev_is_one_line_that_names_it() -> None:
    code = "import sys; sys.modules['evdev'] = None\nfrom edge_daemon.cli.main import main\n"
    code += "sys.exit(main(['keys', '--key', 'left=KEY_LEFT']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "edge-daemon: keys need the Python module evdev" in line
    assert "python3-evdev" in line
    assert "edge-daemon[arcade]" in line


@pytest.mark.parametrize("key", ["KEY_LEFFT", "REL_X", "EV_KEY", "left"])
def test_a_name_that_is_no_key_is_one_line(key: str, with_evdev: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge_daemon", "keys", "--key", f"left={key}"],
        env={"PATH": "/usr/bin:/bin", "HOME": "/", **with_evdev},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"edge-daemon: there is no key '{key}'; names are such as KEY_LEFT, KEY_SPACE or BTN_LEFT"
    ]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "required: --key"),
        (["--key", "left"], "'left' is not LABEL=KEY"),
        (["--key", "left="], "'left=' is not LABEL=KEY"),
        (["--key", "=KEY_LEFT"], "a label can't be empty"),
        (["--key", "left=KEY_LEFT", "--dead-man", "0"], "'0' is no time in seconds above 0"),
        (["--key", "left=KEY_LEFT", "--dead-man", "nan"], "'nan' is no time"),
        (["--key", "left=KEY_LEFT", "--dead-man", "soon"], "'soon' is no time"),
    ],
)
def test_wrong_arguments_are_usage_errors(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["keys", *words])
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--key", "left=KEY_LEFT", "--set", "mqtt.host=null"], "mqtt.host: no broker is configured"),
        (["--key", "left=KEY_LEFT", "--region", "top", *REGIONS], "no region 'top'; regions are bin, gate"),
        (["--key", "left=KEY_LEFT", "--key", "left=KEY_UP"], "label 'left' is given twice"),
    ],
)
def test_arguments_that_do_not_fit_are_one_line(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", *words]) == 1
    captured = capsys.readouterr()
    assert text in captured.err
    assert (captured.out, captured.err.count("\n")) == ("", 1)
