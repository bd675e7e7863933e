"""Write the files of this folder again with the program of version 0.1.0, driven from outside.

    python tests/compatibility/written_by_0_1_0/make.py PATH/OF/0.1.0/bin/edge-daemon OUTPUT_FOLDER

Three devices run: `north` and `south` share their examples by a real broker, `west` has none. They are
operated over HTTP and by the command line of version 0.1.0. Nothing of the package is imported, and the
program of a later version, whose settings have other names, is refused. Times, numbers and signatures differ
from the kept ones.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from PIL import Image, ImageDraw

INPUT = Path(__file__).parent / "input"
TOKEN = "token-of-version-0.1.0"
KEY = bytes(range(32))
GROUP = "sorters"
PICTURE = "pictures/disc.jpg"
PATIENCE_S = 60.0
BOXES = {"left": "[0, 0, 0.5, 1]", "right": "[0.5, 0, 0.5, 1]"}
MOVED = [0.05, 0.1, 0.4, 0.8]
HOST = "127.0.0.1"


def main() -> None:
    program, out = Path(sys.argv[1]).absolute(), Path(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="written-by-0.1.0-") as scratch, broker(Path(scratch)) as port:
        folder = Path(scratch)
        draw(folder)
        north, south, west = (Device(program, folder, name, port) for name in ("north", "south", "west"))
        west.port = free_port()  # where nothing listens
        with south.running(fleet=True):
            south.teach("disc", "left")
            south.teach("square", "right")
            for _ in range(3):
                south.teach("square", "left")  # wrong: they stay on probation
            fill(north)
            retained = [heard for heard in listen(port) if "fleet" not in heard["topic"]]
            cookie = north.cookie
        fleet = [heard for heard in listen(port) if "fleet" in heard["topic"]]
        queue_events(west)
        remember_verdicts(north, folder)
        north.command("examples", "export", str(folder / "examples.zip"))
        keep(folder, out)
        write_json(out / "retained.json", retained + fleet)
        write_json(out / "expected.json", describe(out, cookie) | north.spaces(folder))


def fill(north: Device) -> None:
    """Give `north` one of everything that a store holds, and a moved region."""
    picture = str(north.folder / PICTURE)
    north.command("examples", "add", "disc", picture)
    north.command("examples", "add", "disc", picture, "--set", "model.fit=stretch")
    north.command("examples", "add", "disc", picture, "--set", "model.tap=patch")
    with north.running():  # alone at first, so that there are examples to judge the peer's by
        north.cookie = north.log_in()
        for _ in range(2):
            north.teach("disc", "left", burst="b1")
        for _ in range(4):
            north.teach("disc", "left")
        for _ in range(3):
            north.teach("square", "right")
        relabelled = north.teach("square", "right")
        north.post("relabel", {"ids": [relabelled], "label": "Füchse & Co 🦊"})
        north.teach("gone", "left")
        north.post("undo", {})
        cleared = [north.teach("gone too", "right") for _ in range(2)]
        north.post("remove", {"ids": cleared})
    with north.running(fleet=True):
        wait_for(lambda: [on for on, _ in north.peers()] == [0, 1], north.peers)
        time.sleep(3)  # until each was judged
        [[theirs]] = north.query("SELECT id FROM examples WHERE origin <> '' AND label = 'disc'")
        north.post("remove", {"ids": [theirs]})
        north.post("region", {"region": "left", "box": MOVED})
        north.post("save", {})
        time.sleep(3)  # until the broker has the last of it
        if [on for on, _ in north.peers()] != [0, 1]:
            raise SystemExit("nothing is on probation any more; run it again")


def queue_events(west: Device) -> None:
    """Let events wait for a broker that never comes."""
    with west.running():
        west.teach("disc", "left")
        west.teach("square", "right")
        west.post("undo", {})


def remember_verdicts(north: Device, folder: Path) -> None:
    """Have a model tried, a model added, and the taps compared; the store itself stays as it is."""
    model, names = INPUT / "tiny-float.tflite", INPUT / "tiny-float.labels.txt"
    north.command("models", "inspect", str(model))
    north.command("classify", str(folder / PICTURE), "--model", str(model))
    north.command("models", "add", str(model), "--range", "0..255", "--labels", str(names), "--name", "tiny")
    shutil.copytree(north.state, folder / "tuned")
    once = [f"camera={{type: replay, path: {folder / PICTURE}}}", "mqtt.host=null", "web.listen=null"]
    settings = [*once, "model.tap=auto", f"store.path={folder / 'tuned' / 'examples.sqlite'}"]
    north.command("run", "--once", *(word for each in settings for word in ("--set", each)))


class Device:
    """One installation: its state, its cache, its configuration and its page."""

    def __init__(self, program: Path, folder: Path, name: str, port: int) -> None:
        self.name, self.folder, self.port = name, folder, port
        self.state, self.cache = folder / name / "state", folder / name / "cache"
        self.cookie = ""
        self._program = program
        self._page = free_port()
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / name),
            "STATE_DIRECTORY": str(self.state),
            "CACHE_DIRECTORY": str(self.cache),
            "EDGE_DAEMON_WEB_TOKEN": TOKEN,
            "EDGE_DAEMON_FLEET_KEY": KEY.hex(),
        }

    def settings(self, fleet: bool = False) -> list[str]:
        regions = ", ".join(f"{{name: {name}, box: {box}}}" for name, box in BOXES.items())
        values = [
            f"device.id={self.name}",
            f"camera={{type: replay, path: {self.folder / 'film.npy'}, loop: true, fps: 5}}",
            f"regions=[{regions}]",
            f"mqtt.host={HOST}",
            f"mqtt.port={self.port}",
            "mqtt.discovery.enabled=true",
            f"web.listen={self._page}",
            *([f"fleet.group={GROUP}"] if fleet else []),
        ]
        return [word for value in values for word in ("--set", value)]

    def command(self, *words: str) -> str:
        line = [str(self._program), words[0], *self.settings(), *words[1:]]
        if words[0] in ("examples", "models"):
            line = [str(self._program), *words[:2], *self.settings(), *words[2:]]
        done = subprocess.run(line, env=self._environment, text=True, stdout=subprocess.PIPE)
        if done.returncode:
            raise SystemExit(f"{words} failed")
        return done.stdout

    @contextmanager
    def running(self, fleet: bool = False) -> Iterator[None]:
        line = [str(self._program), "run", *self.settings(fleet)]
        process = subprocess.Popen(line, env=self._environment)
        try:
            wait_for(lambda: self._answers())
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)

    def _answers(self) -> bool:
        try:
            return bool(self._open("GET", "/api/examples"))
        except (urllib.error.URLError, ConnectionError):
            return False

    def teach(self, label: str, region: str, **more: str) -> int:
        time.sleep(0.3)  # another frame of the film
        return int(self.post("teach", {"label": label, "region": region, **more})["id"])

    def post(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._open("POST", f"/api/{verb}", body)[0] or b"{}")
        return answer

    def log_in(self) -> str:
        _, cookie = self._open("POST", "/api/login", {"token": TOKEN})
        return cookie.partition("=")[2].partition(";")[0].strip('"')

    def _open(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[bytes, str]:
        request = urllib.request.Request(
            f"http://{HOST}:{self._page}{path}",
            None if body is None else json.dumps(body).encode(),
            {
                "authorization": f"Bearer {TOKEN}",
                "content-type": "application/json",
                "x-edge-daemon": "1",
            },
            method=method,
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return response.read(), response.headers.get("set-cookie", "")

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return query(self.state / "examples.sqlite", statement)

    def peers(self) -> list[tuple[Any, ...]]:
        return self.query("SELECT probation, count(*) FROM examples WHERE origin <> '' GROUP BY 1 ORDER BY 1")

    def spaces(self, folder: Path) -> dict[str, Any]:
        """Return the embedding space of each setting, read from an example that was added with it."""
        found = {}
        for tap in ("embedding", "pixels", "patch"):
            for fit in ("square", "stretch"):
                for delegate in ("auto", "none"):
                    words = [f"model.tap={tap}", f"model.fit={fit}", f"model.delegate={delegate}"]
                    path = folder / f"{tap}-{fit}-{delegate}.sqlite"
                    words.append(f"store.path={path}")
                    flags = [word for each in words for word in ("--set", each)]
                    self.command("examples", "add", "disc", str(folder / PICTURE), *flags)
                    found[f"{tap} {fit} {delegate}"] = query(path, "SELECT space FROM examples")[0][0]
        return {"spaces": found}


def describe(out: Path, cookie: str) -> dict[str, Any]:
    """Return what the kept files hold, read without the package."""
    store = out / "state" / "examples.sqlite"
    with zipfile.ZipFile(out / "examples.zip") as archive:
        entries = {info.filename: digest(archive.read(info)) for info in archive.infolist()}
    [queue] = (out / "west").glob("mqtt-events.*")
    return {
        "examples": rows(store, "SELECT * FROM examples ORDER BY id"),
        "rolls": rows(store, "SELECT * FROM fleet_rolls ORDER BY device"),
        "groups": rows(store, "SELECT * FROM fleet_groups"),
        "archive": entries,
        "fleet": fleet_records(json.loads((out / "retained.json").read_text())),
        "queue": rows(queue, "SELECT * FROM event ORDER BY id"),
        "verdicts": sorted(str(path.relative_to(out / "cache")) for path in (out / "cache").glob("*/*")),
        "interpreter": interpreter(),
        "session": {"token": TOKEN, "cookie": cookie},
        "regions": {"left": MOVED},
    }


def rows(path: Path, statement: str) -> list[dict[str, Any]]:
    """Return rows by column; a blob as its length and SHA-256."""
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        found = [dict(row) for row in connection.execute(statement)]
    return [
        {name: digest(value) if isinstance(value, bytes) else value for name, value in row.items()}
        for row in found
    ]


def digest(content: bytes) -> str:
    return f"{len(content)} {hashlib.sha256(content).hexdigest()[:32]}"


def fleet_records(retained: list[dict[str, Any]]) -> dict[str, list[list[Any]]]:
    """Return the fields of each signed record by topic, its signature checked."""
    found = {}
    for message in retained:
        if "fleet" in message["topic"]:
            records = msgspec.msgpack.decode(base64.b64decode(message["base64"]))
            found[message["topic"]] = [fields_of(record) for record in records]
    return found


def fields_of(record: bytes) -> list[Any]:
    version, signature, body = record[:1], record[1:33], record[33:]
    assert signature == hmac.digest(KEY, b"edge_daemon fleet record" + version + body, "sha256")
    return [digest(each) if isinstance(each, bytes) else each for each in msgspec.msgpack.decode(body)]


def interpreter() -> str:
    import ai_edge_litert

    return f"ai-edge-litert {ai_edge_litert.__version__}"


def keep(folder: Path, out: Path) -> None:
    """Copy what was written."""
    shutil.copytree(folder / "north" / "state", out / "state")
    shutil.copytree(folder / "north" / "cache", out / "cache")
    shutil.copy(folder / "examples.zip", out)
    (out / "west").mkdir()
    for path in (folder / "west" / "state").glob("mqtt-events.*"):
        shutil.copy(path, out / "west")
    leftovers = [path for path in out.rglob("*") if path.name.endswith(("-wal", "-shm"))]
    assert not leftovers, leftovers


def draw(folder: Path) -> None:
    """Draw the film, a disc beside a square in 64 places, and one picture that isn't square."""
    pictures = []
    for number in range(64):
        picture = Image.new("RGB", (120, 60), (30, 40, 30))
        pen, x, y = ImageDraw.Draw(picture), number % 8 * 3, number // 8 * 2
        pen.ellipse((5 + x, 8 + y, 33 + x, 36 + y), fill=(200, 50, 40))
        pen.rectangle((66 + x, 8 + y, 92 + x, 34 + y), fill=(40, 60, 200))
        pictures.append(np.asarray(picture))
    np.save(folder / "film.npy", np.stack(pictures))
    (folder / "pictures").mkdir()
    Image.fromarray(pictures[0][:, :50]).save(folder / PICTURE, quality=90)


@contextmanager
def broker(folder: Path) -> Iterator[int]:
    port = free_port()
    (folder / "mosquitto.conf").write_text(f"listener {port} {HOST}\nallow_anonymous true\nuser root\n")
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin") or "mosquitto"
    process = subprocess.Popen([program, "-c", folder / "mosquitto.conf"], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: _listens(port))
        yield port
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def listen(port: int) -> list[dict[str, Any]]:
    """Return what the broker keeps, by topic."""
    heard: list[Any] = []
    deadline = time.monotonic() + 2

    def take(client: Any, userdata: Any, message: Any) -> None:
        if message.retain:
            heard.append(message)

    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = take
    client.connect(HOST, port)
    while not client.is_connected():
        client.loop(0.1)
    client.subscribe("#", 1)
    while time.monotonic() < deadline:
        client.loop(0.1)
    client.disconnect()
    return [_as_json(message) for message in sorted(heard, key=lambda each: str(each.topic))]


def _as_json(message: Any) -> dict[str, Any]:
    text = {"topic": message.topic, "qos": message.qos}
    try:
        return text | {"text": message.payload.decode()}
    except UnicodeDecodeError:
        return text | {"base64": base64.b64encode(message.payload).decode()}


def query(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(statement).fetchall()


def wait_for(condition: Callable[[], object], found: Callable[[], object] = str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"gave up waiting {found()}")
        time.sleep(0.1)


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
