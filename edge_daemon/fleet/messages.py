"""What one message of the fleet holds, checked. Pure: any bytes give a parcel, empty if need be."""

from __future__ import annotations

from dataclasses import dataclass

from edge_daemon.fleet.chunks import unpacked
from edge_daemon.fleet.live_set import NOBODY, Roll, later
from edge_daemon.fleet.records import Reason, RefusedRecord, Seal, Told


@dataclass(frozen=True, slots=True)
class Parcel:
    """The examples and the roll of a device that are rightly signed; `refused` tells of the rest."""

    device: str
    examples: tuple[Told, ...] = ()
    roll: Roll | None = None
    refused: tuple[Reason, ...] = ()


def open_parcel(seal: Seal, device: str, payload: bytes) -> Parcel:
    """Check a message that stood at a topic of `device`.

    The first record that is not signed with the group's key ends the reading: its sender has no key, and each
    further check would be work for him.
    """
    records = unpacked(payload)
    if records is None:
        return Parcel(device, refused=("malformed",))
    examples: list[Told] = []
    refused: list[Reason] = []
    roll = NOBODY
    for record in records:
        try:
            told = seal.open(device, record)
        except RefusedRecord as exc:
            refused.append(exc.reason)
            if exc.unsigned:
                break
            continue
        if isinstance(told, Roll):
            roll = later(roll, told)
        else:
            examples.append(told)
    return Parcel(device, tuple(examples), None if roll is NOBODY else roll, tuple(refused))
