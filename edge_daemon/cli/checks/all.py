"""All checks of the doctor, in order, and those of groups, broker, fleet, model, store and disk."""

from __future__ import annotations

import grp
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from edge_daemon.app.model_factory import DEFAULT_MODEL, build_embedder, resolve_features, store_path
from edge_daemon.app.preflight import unread_credentials
from edge_daemon.cli.checks.camera import CAMERA_HINT, check_camera
from edge_daemon.cli.checks.check import Check
from edge_daemon.cli.checks.clock import check_clock
from edge_daemon.cli.checks.gpio import GPIO_HINT, check_gpio
from edge_daemon.cli.checks.memory import check_memory
from edge_daemon.cli.checks.network import check_network
from edge_daemon.cli.checks.power import check_power
from edge_daemon.cli.checks.python import check_python
from edge_daemon.cli.checks.storage import check_mount, check_writes
from edge_daemon.config.camera import PicameraOptions, V4l2Options
from edge_daemon.config.schema import Config
from edge_daemon.domain.errors import BrokerError, EdgeError, ModelError
from edge_daemon.domain.types import WHOLE_FRAME
from edge_daemon.example_store.integrity import summarise
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.fleet.key import read_key
from edge_daemon.mqtt.broker_trial import BrokerTrial, TrialResult
from edge_daemon.mqtt.connection_errors import LocalConnectionError
from edge_daemon.mqtt.home_assistant import discovery_topic
from edge_daemon.mqtt.topics import device_topics
from edge_daemon.system.file_owner import user_name

MIN_FREE_MB = 200


def run_checks(
    config: Config, skip: Collection[str] = (), picture: Path | None = None, watch_buttons_s: float = 0.0
) -> Iterator[Check]:
    """Run the checks one by one; an EdgeError or OSError in a check is its failure.

    The camera's picture is written to `picture`; the buttons are watched for `watch_buttons_s` seconds.
    """
    checks: dict[str, Callable[[Config], Check]] = {
        "python": check_python,
        "camera": partial(check_camera, picture=picture),
        "gpio": partial(check_gpio, watch_s=watch_buttons_s),
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
    for name, check in checks.items():
        if name not in skip:
            try:
                yield check(config)
            except (EdgeError, OSError) as exc:
                yield Check(name, "failed", str(exc), HINTS.get(name, ""))


AS_SERVICE = (
    "`sudo systemd-run --pipe --uid=edge-daemon -p LoadCredential=edge:/etc/edge_daemon/credentials "
    "edge-daemon doctor` reads it as the service does"
)

HINTS = {
    "camera": CAMERA_HINT,
    "gpio": GPIO_HINT,
    "broker": "the broker's access list or limits: config/mosquitto-acl.conf shows what a device needs",
    "fleet": "every device of a group needs the same key: see docs/fleet.md",
    "model": f"leave model.name out to use the shipped {DEFAULT_MODEL}, or see `edge-daemon models list`",
    "store": "see store.path in the configuration; stop the service before repairing a store",
}


def check_groups(config: Config) -> Check:
    """Compare the groups that the configuration needs with those this user has."""
    needed = {"gpio"} if config.buttons else set()
    needed |= {"video"} if isinstance(config.camera, PicameraOptions | V4l2Options) else set()
    if not needed:
        return Check("groups", "ok", "none needed")
    if os.geteuid() == 0:
        hint = "check as the service's user: `sudo -u edge-daemon edge-daemon doctor`"
        return Check("groups", "warning", "root may do everything; the service may not", hint)
    mine = {_group_name(number) for number in (os.getegid(), *os.getgroups())}
    if missing := sorted(needed - mine):
        command = f"sudo usermod -aG {','.join(missing)} {user_name()}, then log in again"
        return Check("groups", "failed", f"not in {', '.join(missing)}", command)
    return Check("groups", "ok", ", ".join(sorted(needed)))


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def check_broker(config: Config) -> Check:
    """Connect, subscribe and publish as the device does."""
    options = config.mqtt
    if options.host is None:
        return Check("broker", "ok", "MQTT is off")
    if "mqtt.credential" in unread_credentials(config):
        detail = f"the password is the service's credential '{options.credential}', not tried"
        return Check("broker", "warning", detail, AS_SERVICE)
    try:
        findings = _try_broker(config)
    except LocalConnectionError as exc:
        return Check("broker", "failed", str(exc), "not the broker's fault: see `network` and `clock`")
    except BrokerError as exc:
        hint = f"is it up? try `mosquitto_sub -h {options.host} -p {options.port} -t '#' -C 1`, and see mqtt:"
        return Check("broker", "failed", str(exc), f"{hint} in the configuration")
    where = f"{options.host}:{options.port}"
    if findings.rejections:
        return Check("broker", "failed", f"{where} refuses {_first_of(findings.rejections)}", HINTS["broker"])
    if limits := findings.limits.describe(options.qos):
        hint = "the device keeps to it; see its max_qos, retain_available and max_packet_size, and mqtt.qos"
        return Check("broker", "warning", f"{where} {'; '.join(limits)}", hint)
    return Check("broker", "ok", f"{where}; this device is {findings.availability or 'not seen yet'}")


def _try_broker(config: Config) -> TrialResult:
    options, device = config.mqtt, config.device.topic_id
    regions = [region.name for region in config.regions]
    if not regions or config.combine_regions == "text":
        regions.append(WHOLE_FRAME)
    topics = device_topics(options.base_topic, device, regions)
    discovery = discovery_topic(options.discovery.prefix, device) if options.discovery.enabled else None
    return BrokerTrial(options, device, topics, discovery).run()


def _first_of(clauses: list[str]) -> str:
    more = f", and {len(clauses) - 1} more" if len(clauses) > 1 else ""
    return clauses[0] + more


def check_fleet(config: Config) -> Check:
    """Read the key of the device's fleet group, if it is in one; only the service can read a credential."""
    options = config.fleet
    if options.group is None:
        return Check("fleet", "ok", "in no group")
    if "fleet.credential" in unread_credentials(config):
        detail = f"the key of '{options.group}' is the service's credential '{options.credential}', not read"
        return Check("fleet", "warning", detail, AS_SERVICE)
    key = read_key(options, os.environ)
    return Check("fleet", "ok", f"group '{options.group}', a key of {len(key)} bytes")


def check_model(config: Config) -> Check:
    """Load the model and measure the time of one picture."""
    embedder = build_embedder(config)
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    embedder.embed(image)
    started = time.perf_counter()
    embedder.embed(image)
    took_ms = (time.perf_counter() - started) * 1000
    return Check("model", "ok", f"{embedder.space}; {embedder.size} numbers, {took_ms:.1f} ms a picture")


def check_store(config: Config) -> Check:
    """Open the store, check that it can be written, and compare its embedding spaces with the model's.

    A missing store is not made: the service could not write a store of root.
    """
    path = store_path(config)
    if not os.path.exists(path):
        return _check_store_path(path)
    with ExampleStore(path) as store, store.transaction():  # takes the lock of a writer
        counts, spaces, damaged = store.counts, store.spaces(), store.damaged
    if damaged:
        return Check("store", "warning", f"{path}: left out: {summarise(damaged.values())}", HINTS["store"])
    detail = f"{path}: {sum(counts.values())} examples of {len(counts)} labels"
    foreign = sum(spaces.values()) - spaces.get(_space(config), 0)
    if foreign:
        hint = "`edge-daemon examples reembed` embeds them again from their pictures"
        return Check("store", "warning", f"{detail}, {foreign} of another model", hint)
    return Check("store", "ok", detail)


def _check_store_path(path: Path) -> Check:
    folder = _nearest_folder(path)
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check("store", "failed", f"{user_name()} may not write {folder}", HINTS["store"])
    return Check("store", "ok", f"{path}: nothing taught yet")


def _nearest_folder(path: Path) -> Path:
    """Return the nearest existing folder above `path` that this user can see."""
    return next(folder for folder in path.absolute().parents if os.path.isdir(folder))


def _space(config: Config) -> str:
    """Return the model's embedding space; empty for a model that `check_model` reports."""
    try:
        return build_embedder(resolve_features(config)).space
    except ModelError:
        return ""


def check_disk(config: Config) -> Check:
    """Check the free space on the store's disk."""
    folder = _nearest_folder(store_path(config))
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    if free_mb < MIN_FREE_MB:
        return Check("disk", "failed", f"{free_mb} MB free at {folder}", "make room: examples can't be kept")
    return Check("disk", "ok", f"{free_mb} MB free at {folder}")
