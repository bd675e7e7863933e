"""Packets of a broker, over a real pair of sockets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from edge_daemon.mqtt.packet_socket import MIN_BOUND, TOO_LARGE, PacketSocket

PINGRESP = b"\xd0\x00"


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def publish(payload: bytes) -> bytes:
    """Return a PUBLISH of QoS 0 at topic `t`."""
    body = b"\x00\x01t" + payload
    length, encoded = len(body), b""
    while True:
        length, digit = length >> 7, length & 0x7F
        encoded += bytes([digit | (0x80 if length else 0)])
        if not length:
            return b"\x30" + encoded + body


def read_packet(packets: PacketSocket, theirs: socket.socket, content: bytes) -> bytes:
    """Read one packet as paho does, while the other side sends as the socket has room."""
    theirs.setblocking(False)
    found, missing = b"", 1
    while missing:
        with contextlib.suppress(BlockingIOError):
            content = content[theirs.send(content) :] if content else b""
        try:
            found += packets.recv(missing)
        except BlockingIOError:
            continue
        missing = _missing(found)
    assert content == b""
    return found


def _missing(found: bytes) -> int:
    """Return the number of bytes that paho reads next."""
    if len(found) < 2 or (found[-1] & 0x80 and len(found) < 5):
        return 1
    length, place, at = 0, 0, 1
    while found[at] & 0x80:
        length, place, at = length | (found[at] & 0x7F) << place, place + 7, at + 1
    length |= found[at] << place
    return at + 1 + length - len(found)


@pytest.mark.parametrize("size", [0, 1, 200, 20_000])
def test_short_packets_pass_unchanged(pair: tuple[socket.socket, socket.socket], size: int) -> None:
    ours, theirs = pair
    packets = PacketSocket(ours, 65_536)
    for packet in (publish(b"x" * size), PINGRESP, b"\x40\x02\x00\x07", publish(b"y" * size)):
        assert read_packet(packets, theirs, packet) == packet


def test_a_long_publication_is_cut_and_the_next_packet_is_whole(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    packets = PacketSocket(ours, 1)
    found = read_packet(packets, theirs, publish(b"x" * 5_000_000))
    assert found == publish(b"x" * (MIN_BOUND - 3))
    assert read_packet(packets, theirs, PINGRESP) == PINGRESP


def test_without_a_bound_packets_pass_unchanged(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    packet = publish(b"x" * 300_000)
    assert read_packet(PacketSocket(ours, None), theirs, packet) == packet


@pytest.mark.parametrize("kind", [b"\x40", b"\x50"])
def test_a_rejection_as_too_large_is_recorded_and_readable(
    pair: tuple[socket.socket, socket.socket], kind: bytes
) -> None:
    ours, theirs = pair
    packets = PacketSocket(ours, 65_536)
    for length, rest in ((b"\x03", b""), (b"\x83\x02", b"p" * 256)):  # without properties, and with long ones
        packet = kind + length + b"\x01\x02" + bytes([TOO_LARGE]) + rest
        found = read_packet(packets, theirs, packet)
        assert found == b"\x40" + length + b"\x01\x02\x83" + rest
        assert packets.too_large == {0x102}
        packets.too_large.clear()


def test_other_rejections_pass_unchanged(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    packets = PacketSocket(ours, 65_536)
    refusal = b"\x40\x04\x01\x02\x87\x00"
    assert read_packet(packets, theirs, refusal) == refusal
    assert packets.too_large == set()


@pytest.mark.parametrize("reason", [0x80, 0x83, 0x97])
def test_a_rejection_with_qos_2_ends_the_delivery_as_one_with_qos_1(
    pair: tuple[socket.socket, socket.socket], reason: int
) -> None:
    ours, theirs = pair
    packets = PacketSocket(ours, 65_536)
    for rest in (bytes((reason,)), bytes((reason, 0))):
        length = bytes((2 + len(rest),))
        found = read_packet(packets, theirs, b"\x50" + length + b"\x01\x02" + rest)
        assert found == b"\x40" + length + b"\x01\x02" + rest


@pytest.mark.parametrize(
    "packet", [b"\x50\x02\x01\x02", b"\x50\x03\x01\x02\x10", b"\x50\x04\x01\x02\x00\x00"]
)
def test_an_accepted_message_of_qos_2_passes_unchanged(
    pair: tuple[socket.socket, socket.socket], packet: bytes
) -> None:
    ours, theirs = pair
    assert read_packet(PacketSocket(ours, 65_536), theirs, packet) == packet


@pytest.mark.parametrize(
    "content", [b"", b"\x30", b"\x30\x05ab", b"\x40\x03\x00", publish(b"x" * 99_999)[:80_000]]
)
def test_the_end_of_the_connection_is_the_end_of_the_bytes(
    pair: tuple[socket.socket, socket.socket], content: bytes
) -> None:
    ours, theirs = pair
    theirs.sendall(content)
    theirs.close()
    packets = PacketSocket(ours, 65_536)
    while packets.recv(1):
        pass
    assert packets.recv(1) == b""
