"""A user with a configuration, a model folder and taught examples, who changes the model."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_daemon.board.identity import read_board
from edge_daemon.cli.main import main
from edge_daemon.config import paths
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import encode_jpeg, read_image
from edge_daemon.models import advice, registry
from edge_daemon.models.registry import DEFAULT_MODEL, find_model
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.shared_files import shared_path

OTHER = "mobilenet_v1_0.25_128_quant"
"""An official model; the shared material is the source that it is pulled from."""

PICTURES = ("bird", "cat", "hot_dog")


class ModelUser:
    """A configuration with comments in `place`, one example of each picture, and an empty model folder."""

    def __init__(self, place: Path, patch: pytest.MonkeyPatch) -> None:
        self.place = place
        self.models = place / "models"
        self.store_path = place / "examples.sqlite"
        self.config = place / "config.yaml"
        self.source = str(shared_path("models"))
        patch.setenv("EDGE_DAEMON_MODELS", str(self.models))
        patch.setenv("CACHE_DIRECTORY", str(place / "cache"))
        patch.setenv("XDG_DATA_HOME", str(place / "data"))
        patch.setattr(paths, "SERVICE_STATE", place / "service")
        self.config.write_text(
            f"# mine\ncamera: {{type: synthetic}}  # drawn\nstore:\n  path: {self.store_path}\n"
        )
        self.text = self.config.read_text()
        self.teach()

    def teach(self) -> None:
        """Add the examples with the shipped model."""
        embedder = TfliteEmbedder(find_model(DEFAULT_MODEL))
        with ExampleStore(self.store_path) as store:
            for label in PICTURES:
                picture = read_image(shared_path(f"images/{label}.jpg"))
                thumbnail = encode_jpeg(picture, 224)
                store.add(embedder.embed(picture), label, space=embedder.space, thumbnail=thumbnail)

    def use(self, name: str, *options: str) -> int:
        """Run `models use` and return its status."""
        return main(["models", "use", name, "--config", str(self.config), *options])

    def pull_other(self) -> int:
        """Use OTHER, pulled from the shared material."""
        return self.use(OTHER, "--from", self.source)

    def spaces(self) -> dict[str, int]:
        """Return the number of examples by the model of their space."""
        with ExampleStore(self.store_path) as store:
            counts: dict[str, int] = {}
            for space, count in store.spaces().items():
                model = space.split("/")[0].rpartition("-")[0]
                counts[model] = counts.get(model, 0) + count
            return counts


def unchanged(user: ModelUser) -> bool:
    """Return whether configuration and examples are as before; no part of a file may be left."""
    left = [path.name for path in user.place.rglob("*.part")]
    return (user.config.read_text(), user.spaces(), left) == (user.text, {DEFAULT_MODEL: len(PICTURES)}, [])


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error's line; there must be one."""
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("edge-daemon: ")]
    assert len(lines) == 1, error
    return lines[0]


def weaken_shipped_model(patch: pytest.MonkeyPatch) -> None:
    """Give the shipped model a low accuracy and four cores, so that others are better on any machine."""
    figures = {"photos": {"linear": {"10": 62.0}}}
    manifests = [
        replace(each, few_shot=figures, relative_cost=2.0) if each.name == DEFAULT_MODEL else each
        for each in registry.shipped_manifests()
    ]
    patch.setattr(advice, "shipped_manifests", lambda: iter(manifests))
    patch.setattr(advice, "read_board", lambda root: read_board(root, cores=4))
