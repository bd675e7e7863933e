"""What one message of the fleet holds, checked. Pure: any bytes give a parcel, empty if need be."""

from __future__ import annotations

from dataclasses import dataclass

from edge_daemon.fleet.chunks import unpacked
from edge_daemon.fleet.live_set import NOBODY, LiveSet, later
from edge_daemon.fleet.records import Reason, RecordSigner, RejectedRecord, RemoteExample


@dataclass(frozen=True, slots=True)
class FleetMessage:
    """The examples and the roll of a device that are rightly signed; `refused` tells of the rest."""

    device: str
    examples: tuple[RemoteExample, ...] = ()
    roll: LiveSet | None = None
    refused: tuple[Reason, ...] = ()


def decode_message(seal: RecordSigner, device: str, payload: bytes) -> FleetMessage:
    """Check a message that stood at a topic of `device`.

    The first record that is not signed with the group's key ends the reading: its sender has no key, and each
    further check would be work for him.
    """
    records = unpacked(payload)
    if records is None:
        return FleetMessage(device, refused=("malformed",))
    examples: list[RemoteExample] = []
    refused: list[Reason] = []
    roll = NOBODY
    for record in records:
        try:
            told = seal.open(device, record)
        except RejectedRecord as exc:
            refused.append(exc.reason)
            if exc.unsigned:
                break
            continue
        if isinstance(told, LiveSet):
            roll = later(roll, told)
        else:
            examples.append(told)
    return FleetMessage(device, tuple(examples), None if roll is NOBODY else roll, tuple(refused))
