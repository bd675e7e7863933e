"""The doctor's checks of the broker and of the fleet's key."""

from __future__ import annotations

import os
import shutil

from edge_daemon.app.preflight import unread_credentials
from edge_daemon.cli.checks.check import Check
from edge_daemon.config.schema import Config
from edge_daemon.domain.errors import BrokerError
from edge_daemon.domain.types import WHOLE_FRAME
from edge_daemon.fleet.key import read_key
from edge_daemon.mqtt.broker_trial import BrokerTrial, TrialResult
from edge_daemon.mqtt.connection_errors import LocalConnectionError
from edge_daemon.mqtt.home_assistant import discovery_topic
from edge_daemon.mqtt.topics import device_topics

BROKER_HINT = "the broker's access list or limits: config/mosquitto-acl.conf shows what a device needs"
FLEET_HINT = "every device of a group needs the same key: see docs/fleet.md"

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")

_AS_SERVICE = (
    "`sudo systemd-run --pipe --uid=edge-daemon -p LoadCredential=edge:/etc/edge_daemon/credentials "
    "edge-daemon doctor` reads it as the service does"
)


def check_broker(config: Config) -> Check:
    """Connect, subscribe and publish as the device does."""
    options = config.mqtt
    if options.host is None:
        return Check("broker", "ok", "MQTT is off")
    if "mqtt.credential" in unread_credentials(config):
        detail = f"the password is the service's credential '{options.credential}', not tried"
        return Check("broker", "warning", detail, _AS_SERVICE)
    try:
        findings = _try_broker(config)
    except LocalConnectionError as exc:
        return Check("broker", "failed", str(exc), "the cause is on this device: see `network` and `clock`")
    except BrokerError as exc:
        return Check("broker", "failed", str(exc), _connection_hint(options.host, options.port))
    where = f"{options.host}:{options.port}"
    if findings.rejections:
        return Check("broker", "failed", f"{where} refuses {_first_of(findings.rejections)}", BROKER_HINT)
    if limits := findings.limits.describe(options.qos):
        hint = "the device adapts to it: see max_qos, retain_available, max_packet_size of the broker"
        return Check("broker", "warning", f"{where} {'; '.join(limits)}", hint)
    if gaps := findings.retained_gaps:
        hint = "the device sends its state again every minute; see Clusters in docs/brokers.md"
        return Check("broker", "warning", f"{where} {'; it '.join(gaps)}", hint)
    return Check("broker", "ok", f"{where}; this device is {findings.availability or 'not seen yet'}")


def _connection_hint(host: str, port: int) -> str:
    """Return the remedy for a broker that can't be used, by what is installed on this machine."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    if host in _THIS_MACHINE and shutil.which("mosquitto", path=path) is None:
        return (
            "no broker is installed here: `sudo apt install mosquitto`, or set mqtt.host to the one to "
            "use, in the configuration or with --set mqtt.host=broker.local"
        )
    tried = (
        f"try `mosquitto_sub -h {host} -p {port} -t '#' -C 1`, and " if shutil.which("mosquitto_sub") else ""
    )
    return f"is it up? {tried}see mqtt: in the configuration"


def _try_broker(config: Config) -> TrialResult:
    options, device = config.mqtt, config.device.topic_id
    regions = [region.name for region in config.regions]
    if not regions or config.combine_regions == "text":
        regions.append(WHOLE_FRAME)
    topics = device_topics(options.base_topic, device, regions)
    discovery = discovery_topic(options.discovery.prefix, device) if options.discovery.enabled else None
    return BrokerTrial(options, device, topics, discovery, config.fleet.group).run()


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
        return Check("fleet", "warning", detail, _AS_SERVICE)
    key = read_key(options, os.environ)
    return Check("fleet", "ok", f"group '{options.group}', a key of {len(key)} bytes")
