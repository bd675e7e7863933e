"""Connect a real Home Assistant to the daemon and use the device through it; exit 1 when something is wrong.

    python3.14 -m venv ha && ha/bin/pip install homeassistant aiohasupervisor paho-mqtt
    ha/bin/python scripts/dev/check_home_assistant.py .venv/bin/edge-daemon

Runs with a Python that has Home Assistant 2024.11 or later, as its core runs in this process. The daemon
looks at the drawn tray, its buttons are mock pins, and mosquitto is started on a free port.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from homeassistant import auth, bootstrap, config_entries, loader
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component

CONFIG = """\
device: {{id: tray-1, name: Tray}}
camera: {{type: synthetic, scene: tray, fps: 5, seed: 7}}
buttons: [{{pin: 17, label: gear}}, {{pin: 27, label: lemon}}, {{pin: 24, action: trigger}}]
trigger: gpio
store: {{path: {state}}}
mqtt: {{host: 127.0.0.1, port: {port}, discovery: {{enabled: {discovery}}}}}
"""
THRESHOLD = "number.tray_minimum_similarity_of_a_known_label"
TIMEOUT_S = 20.0


class Device:
    """The daemon as a process, started and ended at will; what it says is in `daemon.log`."""

    def __init__(self, program: str, folder: Path, port: int) -> None:
        self._program = program
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, discovery: bool = True) -> None:
        """Start it with discovery on or off."""
        path = self._folder / "config.yaml"
        state = self._folder / "state" / "examples.sqlite"
        path.write_text(CONFIG.format(state=state, port=self._port, discovery=str(discovery).lower()))
        with (self._folder / "daemon.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "run", "--config", str(path)],
                env={**os.environ, "GPIOZERO_PIN_FACTORY": "mock"},
                stdout=log,
                stderr=log,
            )

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None


class Home:
    """Home Assistant's core with its MQTT integration and nothing else."""

    def __init__(self, hass: HomeAssistant) -> None:
        self._hass = hass

    @classmethod
    async def begin(cls, folder: Path, port: int) -> Home:
        """Start it as its own bootstrap does, less what needs its web pages."""
        folder.mkdir()
        (folder / "configuration.yaml").touch()
        hass = HomeAssistant(str(folder))
        loader.async_setup(hass)
        hass.config.skip_pip = True
        hass.config_entries = config_entries.ConfigEntries(hass, {})
        await bootstrap.async_load_base_functionality(hass)
        hass.auth = await auth.auth_manager_from_config(hass, [], [])
        await async_setup_component(hass, "homeassistant", {})
        web = {"server_host": ["127.0.0.1"], "server_port": free_port()}
        await async_setup_component(hass, "http", {"http": web})
        await hass.async_start()
        await hass.config_entries.async_add(_entry(port))
        return cls(hass)

    async def end(self) -> None:
        """Stop it."""
        await self._hass.async_stop()

    def state(self, entity: str) -> str | None:
        """The state of an entity, None when there is no such entity."""
        found = self._hass.states.get(entity)
        return None if found is None else str(found.state)

    def shows(self, entity: str, state: str) -> bool:
        return self.state(entity) == state

    def attribute(self, entity: str, name: str) -> object:
        """An attribute of an entity, None when there is none."""
        found = self._hass.states.get(entity)
        return None if found is None else found.attributes.get(name)

    def entities(self) -> list[str]:
        """All entities there are."""
        return sorted(state.entity_id for state in self._hass.states.async_all())

    async def do(self, action: str, entity: str, **data: object) -> None:
        """Call an action of an entity, as a dashboard does."""
        domain, _, service = action.partition(".")
        await self._hass.services.async_call(domain, service, {"entity_id": entity, **data}, blocking=True)


def _entry(port: int) -> config_entries.ConfigEntry[Any]:
    return config_entries.ConfigEntry(
        domain="mqtt",
        title="mqtt",
        data={"broker": "127.0.0.1", "port": port, "protocol": "5"},
        options={},
        source="user",
        unique_id=None,
        version=1,
        minor_version=2,
        discovery_keys=MappingProxyType({}),
        subentries_data=(),
    )


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(what: str, met: Callable[[], bool]) -> None:
    """Wait until something is so and say that it is. Raises SystemExit when it does not come about."""
    for _ in range(int(TIMEOUT_S * 10)):
        if met():
            print(f"ok  {what}", flush=True)
            return
        await asyncio.sleep(0.1)
    sys.exit(f"not so: {what}")


async def use(home: Home, device: Device) -> None:
    """Use the device as its owner would."""
    device.start()
    await until("the label's sensor appears", lambda: home.state("sensor.tray_label") is not None)
    await until(
        "what the buttons teach can be taught",
        lambda: {"button.tray_teach_gear", "button.tray_teach_lemon"} <= set(home.entities()),
    )
    await until("the model is named", lambda: home.state("sensor.tray_model") == "edge_embedder_v2")
    await until("the trigger is shown", lambda: home.state("select.tray_trigger") == "gpio")

    await home.do("select.select_option", "select.tray_trigger", option="continuous")
    await until("another trigger is taken", lambda: home.state("select.tray_trigger") == "continuous")
    for count in ("1", "2", "3"):
        await home.do("button.press", "button.tray_teach_gear")
        await until(f"{count} examples", partial(home.shows, "sensor.tray_examples", count))
    await until("the label is named", lambda: home.state("sensor.tray_label") == "gear")
    await until("and how sure", lambda: home.state("sensor.tray_confidence") == "100.0")
    await until("counts", lambda: home.attribute("sensor.tray_examples", "gear") == 3)
    await until(
        "the event tells of it",
        lambda: home.attribute("event.tray_event", "event_type") in ("label_changed", "example_added"),
    )
    await home.do("button.press", "button.tray_undo")
    await until("undo takes one back", lambda: home.state("sensor.tray_examples") == "2")

    await home.do("number.set_value", THRESHOLD, value=0.3)
    await until("a threshold is taken", lambda: home.state(THRESHOLD) == "0.3")
    await home.do("button.press", "button.tray_threshold_from_the_examples")
    await until("and given up", lambda: home.state(THRESHOLD) == "unknown")
    await home.do("button.press", "button.tray_take_snapshot")
    await until("a snapshot comes", lambda: home.state("image.tray_snapshot") not in (None, "unknown"))

    device.end(signal.SIGKILL)
    await until("a device that died is unavailable", lambda: home.state("sensor.tray_label") == "unavailable")
    device.start()
    await until("and is back", lambda: home.state("sensor.tray_examples") == "2")
    device.end()
    device.start(discovery=False)
    await until("discovery turned off removes all entities", lambda: not home.entities())


async def check(program: str, folder: Path) -> None:
    """Start the broker, the device and Home Assistant, and end them in any case."""
    port = free_port()
    with subprocess.Popen(["mosquitto", "-p", str(port)], stderr=subprocess.DEVNULL) as broker:
        device = Device(program, folder, port)
        home = await Home.begin(folder / "home", port)
        try:
            await use(home, device)
        finally:
            device.end()
            await home.end()
            broker.terminate()


def main() -> None:
    """Read the arguments, and check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("edge_daemon", help="the edge-daemon program to run")
    args = parser.parse_args()
    print(f"Home Assistant {__version__}")
    # It warns of being started otherwise than by its own program.
    logging.getLogger("homeassistant.helpers.frame").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(check(args.edge_daemon, Path(folder)))


if __name__ == "__main__":
    main()
