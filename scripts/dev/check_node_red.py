"""Run the flow of docs/node-red.md in a real Node-RED, beside daemon and broker; exit 1 when something fails.

    .venv/bin/python -m scripts.dev.check_node_red

Installs Node-RED from npm into build/node-red (117 MB). Needs node 18.5 or later, and mosquitto. The flow
runs as it is, except for the broker's port.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.harness.mosquitto import Mosquitto, free_port
from tests.harness.mqtt_client import Listener

ROOT = Path(__file__).resolve().parents[2]
FLOW = ROOT / "docs/recipes/node-red-flow.json"
MODULES = ROOT / "build/node-red"
VERSION = "4.1.15"
CONFIG = """\
device: {{id: tray-1}}
camera: {{type: synthetic, scene: tray, fps: 5, seed: 7}}
store: {{path: {folder}/examples.sqlite}}
mqtt: {{host: 127.0.0.1, port: {port}}}
"""
SETTINGS = """\
module.exports = {{ uiHost: "127.0.0.1", uiPort: {port}, flowFile: "flows.json", credentialSecret: false,
    logging: {{ console: {{ level: "info" }} }} }};
"""
BASE = "edge_daemon/tray-1"
TIMEOUT_S = 60.0


class NodeRed:
    """A running Node-RED, used through its admin API and the pages of the flow."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def import_flow(self, broker_port: int) -> None:
        """Replace all flows by that of the documentation, with this port of the broker."""
        flow = json.loads(FLOW.read_text())
        (broker,) = (node for node in flow if node["type"] == "mqtt-broker")
        broker["port"] = str(broker_port)
        self.post("/flows", flow)

    def click(self, button: str) -> None:
        """Trigger an inject node, as a click on its square in the editor does."""
        self.post(f"/inject/{button}")

    def post(self, path: str, body: object = None) -> None:
        """Send JSON, or nothing. Raises OSError."""
        data = b"" if body is None else json.dumps(body).encode()
        urlopen(
            Request(self._url + path, data, {"Content-Type": "application/json"}), timeout=TIMEOUT_S
        ).close()

    def get(self, path: str) -> str:
        """Return what a page holds. Raises OSError."""
        with urlopen(self._url + path, timeout=TIMEOUT_S) as response:
            return str(response.read().decode())

    def state(self) -> dict[str, Any]:
        """Return what the flow's page shows."""
        return dict(json.loads(self.get("/sorter/state")))

    def is_ready(self) -> bool:
        """Return whether the admin API answers."""
        try:
            self.get("/flows")
        except OSError:
            return False
        return True


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program with its output in `log`; it is killed at the end."""
    with log.open("ab") as out, subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def until(what: str, met: Callable[[], bool]) -> None:
    """Wait until a condition is met and print it. Raises SystemExit after the time-out."""
    deadline = time.monotonic() + TIMEOUT_S
    while not met():
        if time.monotonic() > deadline:
            sys.exit(f"not so: {what}")
        time.sleep(0.05)
    print(f"ok  {what}", flush=True)


def use(node_red: NodeRed, messages: Listener) -> None:
    """Teach and undo with the flow's buttons and its page. The gate leads to the right bin at the end."""

    def counts() -> dict[str, int]:
        texts = messages.texts(f"{BASE}/examples")
        return dict(json.loads(texts[-1])["counts"]) if texts else {}

    until("no label switches the gate off", gate(messages, "off"))
    node_red.click("teach-gear")
    until("a teaching button adds an example", lambda: counts() == {"gear": 1})
    until("its label sets the gate", gate(messages, "left"))
    until("the page shows the bin", lambda: node_red.state()["bin"] == "left")
    until("and the counts", lambda: node_red.state().get("counts") == {"gear": 1})
    node_red.click("undo")
    until("undo takes the example back", lambda: counts() == {})
    until("and the gate is off", gate(messages, "off"))
    node_red.post("/sorter/teach", {})
    until("the page shows why a request is refused", lambda: bool(node_red.state().get("answer")))
    node_red.post("/sorter/teach", {"label": "lemon"})
    until("the page teaches", lambda: counts() == {"lemon": 1})
    until("another label sets the gate to another bin", gate(messages, "right"))


def gate(messages: Listener, payload: str) -> Callable[[], bool]:
    """Return a function that returns whether the gate's latest message is this one."""
    return lambda: messages.texts("sorter/gate")[-1:] == [payload]


def check(folder: Path) -> None:
    """Start broker, device and Node-RED, use the flow, and end them one after the other."""
    port, logs = free_port(), [folder / "daemon.log", folder / "node-red.log"]
    (folder / "settings.js").write_text(SETTINGS.format(port=port))
    with Mosquitto() as broker, Listener(broker.port) as messages:
        config = folder / "config.yaml"
        config.write_text(CONFIG.format(folder=folder, port=broker.port))
        device = [sys.executable, "-m", "edge_daemon", "run", "--config", str(config)]
        server = ["node", str(MODULES / "node_modules/node-red/red.js"), "--userDir", str(folder)]
        node_red = NodeRed(port)
        try:
            with running(server, logs[1]) as process:
                until("Node-RED runs", node_red.is_ready)
                node_red.import_flow(broker.port)
                with running(device, logs[0]):
                    use(node_red, messages)
                until("the gate is off without the device", gate(messages, "off"))
                with running(device, logs[0]):
                    until("and follows the label when the device is back", gate(messages, "right"))
                    process.kill()
                    until("the gate is off without Node-RED", gate(messages, "off"))
        except SystemExit:
            print(*(log.read_text() for log in logs if log.exists()), sep="\n")
            raise


def main() -> None:
    """Install Node-RED, and check the flow."""
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(["npm", "install", "--prefix", MODULES, *options, f"node-red@{VERSION}"], check=True)
    print(f"Node-RED {VERSION}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        check(Path(folder))


if __name__ == "__main__":
    main()
