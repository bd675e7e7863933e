"""The list of the doctor's checks, in order, and the check of the model."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge_daemon.app.model_factory import build_embedder, model_name
from edge_daemon.cli.checks.broker import BROKER_HINT, FLEET_HINT, check_broker, check_fleet
from edge_daemon.cli.checks.camera import camera_hint, check_camera
from edge_daemon.cli.checks.check import Check
from edge_daemon.cli.checks.gpio import GPIO_HINT, check_gpio
from edge_daemon.cli.checks.machine import check_clock, check_groups, check_memory, check_power, check_python
from edge_daemon.cli.checks.network import check_network
from edge_daemon.cli.checks.serial import check_serial
from edge_daemon.cli.checks.storage import STORE_HINT, check_disk, check_mount, check_store, check_writes
from edge_daemon.config.schema import Config
from edge_daemon.domain.errors import CameraError, EdgeError
from edge_daemon.models.advice import SHORT_S, advise, known_manifest
from edge_daemon.models.recommendation import describe_quality
from edge_daemon.models.registry import DEFAULT_MODEL
from edge_daemon.tflite.embedder import TfliteEmbedder
from edge_daemon.tflite.inspection import inference_ms

_HINTS = {
    "gpio": GPIO_HINT,
    "broker": BROKER_HINT,
    "fleet": FLEET_HINT,
    "model": f"leave model.name out to use the shipped {DEFAULT_MODEL}, or see `edge-daemon models list`",
    "store": STORE_HINT,
}


def run_checks(
    config: Config, skip: Collection[str] = (), picture: Path | None = None, watch_buttons_s: float = 0.0
) -> Iterator[Check]:
    """Run the checks one by one; an EdgeError or OSError in a check is its failure.

    The camera's picture is written to `picture`; the buttons are watched for `watch_buttons_s` seconds.
    """
    options: Mapping[str, Mapping[str, Any]] = {
        "camera": {"picture": picture},
        "gpio": {"watch_s": watch_buttons_s},
    }
    camera_faults: dict[str, str] = {}
    for name, check in CHECKS.items():
        if name not in skip:
            try:
                yield check(config, **options.get(name, {}))
            except CameraError as exc:
                first = camera_faults.setdefault(str(exc), name)
                if first == name:
                    yield Check(name, "failed", str(exc), camera_hint(config))
                else:
                    yield Check(name, "failed", f"not tried: see {first}")
            except (EdgeError, OSError) as exc:
                yield Check(name, "failed", str(exc), _HINTS.get(name, ""))


def check_model(config: Config) -> Check:
    """Load the model and measure the time of one picture; show its accuracy, and what is better here."""
    embedder = build_embedder(config)
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    embedder.embed(image)
    started = time.perf_counter()
    embedder.embed(image)
    took_ms = (time.perf_counter() - started) * 1000
    detail = f"{embedder.space}; {embedder.size} numbers, {took_ms:.1f} ms a picture"
    name = model_name(config)
    if config.model.name is None and name not in ("patch", DEFAULT_MODEL):
        detail += f"; in use because the stored examples are of it, not of {DEFAULT_MODEL}"
    manifest = known_manifest(name)
    if manifest is None or not isinstance(embedder, TfliteEmbedder):
        return Check("model", "ok", detail)
    better = advise(manifest.name, inference_ms(embedder, SHORT_S)).better_than(manifest.name)
    hint = f"{better}: `edge-daemon models use {better.name}` changes to it" if better else ""
    return Check("model", "ok", f"{detail}; {describe_quality(manifest)}", hint)


CHECKS: Mapping[str, Callable[..., Check]] = {
    "python": check_python,
    "camera": check_camera,
    "gpio": check_gpio,
    "serial": check_serial,
    "groups": check_groups,
    "network": check_network,
    "broker": check_broker,
    "fleet": check_fleet,
    "model": check_model,
    "store": check_store,
    "disk": check_disk,
    "mount": check_mount,
    "writes": check_writes,
    "memory": check_memory,
    "clock": check_clock,
    "power": check_power,
}
"""The checks by name, in the order in which they run."""
