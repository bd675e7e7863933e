"""Links, addresses and names of this device."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from edge_daemon.board.network import (
    Interface,
    has_address,
    interfaces,
    is_this_device,
    link_fault,
    names_fault,
    own_address,
    power_saving,
)
from tests.board.layout import lay_bridge, lay_link, lay_loopback, lay_route, write


def lay_wifi(root: Path, carrier: str) -> None:
    lay_loopback(root)
    lay_link(root, "wlan0", carrier=carrier, wireless=True)
    lay_link(root, "veth1", carrier="1", virtual=True)
    lay_bridge(root, "docker0", "veth1")


def test_a_board_with_wifi_in_use(tmp_path: Path) -> None:
    lay_wifi(tmp_path, "1")
    lay_link(tmp_path, "eth0", carrier="0")
    lay_route(tmp_path, "wlan0\t00000000\t0101A8C0")

    assert interfaces(tmp_path) == [Interface("eth0", False, False), Interface("wlan0", True, True)]
    assert link_fault(tmp_path) is None


def test_a_machine_with_virtual_interfaces_alone_has_a_network(tmp_path: Path) -> None:
    lay_loopback(tmp_path)
    lay_link(tmp_path, "eth0", carrier="1", virtual=True)
    lay_route(tmp_path, "eth0\t00000000\t0101A8C0")

    assert link_fault(tmp_path) is None


def test_a_container_that_runs_docker_has_its_own_network_alone(tmp_path: Path) -> None:
    lay_bridge(tmp_path, "docker0")
    assert link_fault(tmp_path) == "there is no network interface"

    lay_link(tmp_path, "eth0", carrier="1", virtual=True)
    assert interfaces(tmp_path) == [Interface("eth0", False, True)]


def test_a_modem_s_ppp_link_is_a_network_without_a_cable(tmp_path: Path) -> None:
    lay_link(tmp_path, "eth0", carrier="0")
    lay_link(tmp_path, "ppp0", carrier="1", virtual=True)
    write(tmp_path, "sys/class/net/ppp0/type", "512\n")
    lay_route(tmp_path, "ppp0\t00000000\t00000000")

    assert link_fault(tmp_path) is None


def test_a_tunnel_is_no_network_without_a_cable(tmp_path: Path) -> None:
    lay_link(tmp_path, "eth0", carrier="0")
    lay_link(tmp_path, "wg0", carrier="1", virtual=True)
    write(tmp_path, "sys/class/net/wg0/type", "65534\n")
    lay_route(tmp_path, "wg0\t0000000A\t00000000")

    assert link_fault(tmp_path) == "eth0 has no link: is the cable in?"


def test_wifi_without_an_access_point(tmp_path: Path) -> None:
    lay_wifi(tmp_path, "0")

    assert "wlan0 has no link: is the access point in reach" in (link_fault(tmp_path) or "")


def test_a_cable_that_is_out_and_an_interface_that_is_down(tmp_path: Path) -> None:
    lay_link(tmp_path, "eth0", carrier="")  # the kernel refuses the reading
    write(tmp_path, "sys/class/net/eth0/operstate", "down\n")

    assert link_fault(tmp_path) == "eth0 has no link: is the cable in?"


def test_wifi_that_is_blocked_until_a_country_is_set(tmp_path: Path) -> None:
    lay_wifi(tmp_path, "0")
    for number, kind in enumerate(("bluetooth", "wlan")):
        write(tmp_path, f"sys/class/rfkill/rfkill{number}/type", f"{kind}\n")
        write(tmp_path, f"sys/class/rfkill/rfkill{number}/soft", "1\n" if kind == "wlan" else "0\n")
        write(tmp_path, f"sys/class/rfkill/rfkill{number}/hard", "0\n")

    assert "set the Wi-Fi country with `sudo raspi-config`" in (link_fault(tmp_path) or "")


def test_blocked_bluetooth_is_no_fault_of_wifi(tmp_path: Path) -> None:
    lay_wifi(tmp_path, "0")
    write(tmp_path, "sys/class/rfkill/rfkill0/type", "bluetooth\n")
    write(tmp_path, "sys/class/rfkill/rfkill0/soft", "1\n")

    assert "rfkill" not in (link_fault(tmp_path) or "")


def test_a_link_without_an_address(tmp_path: Path) -> None:
    lay_wifi(tmp_path, "1")
    lay_route(tmp_path)

    assert "wlan0 has a link but no address" in (link_fault(tmp_path) or "")


def test_a_route_of_docker_s_bridge_is_no_address_of_the_device(tmp_path: Path) -> None:
    lay_wifi(tmp_path, "1")
    lay_route(tmp_path, "docker0\t000011AC\t00000000")
    write(tmp_path, "proc/net/if_inet6", "fd000000000000000000000000000001 03 40 00 80 docker0\n")
    assert link_fault(tmp_path) == "wlan0 has a link but no address: does the network's DHCP server answer?"

    lay_route(tmp_path, "docker0\t000011AC\t00000000", "wlan0\t0001A8C0\t00000000")
    assert link_fault(tmp_path) is None


def test_a_bridge_or_vlan_on_a_hardware_interface_gives_the_device_its_address(tmp_path: Path) -> None:
    lay_link(tmp_path, "eth0", carrier="1")
    lay_link(tmp_path, "eth0.5", carrier="1", virtual=True)
    (tmp_path / "sys/class/net/eth0.5/lower_eth0").symlink_to("../eth0")
    lay_bridge(tmp_path, "br0", "veth1", "eth0")
    lay_bridge(tmp_path, "br1", "eth0.5")
    lay_link(tmp_path, "ppp0", carrier="1", virtual=True)
    for name in ("br0", "eth0.5", "br1", "ppp0"):
        lay_route(tmp_path, f"{name}\t00000000\t0101A8C0")
        assert link_fault(tmp_path) is None, name


def test_an_ipv6_address_is_enough(tmp_path: Path) -> None:
    lay_route(tmp_path)
    write(tmp_path, "proc/net/if_inet6", "20010db8000000000000000000000001 02 40 00 80 wlan0\n")

    assert has_address(tmp_path)


def test_a_machine_without_any_interface(tmp_path: Path) -> None:
    lay_loopback(tmp_path)

    assert link_fault(tmp_path) == "there is no network interface"


@pytest.mark.parametrize(("disabled", "saving"), [(0, True), (1, False)])
def test_power_saving_is_read_from_the_drivers_answer(disabled: int, saving: bool) -> None:
    def answer(channel: socket.socket, request: int, given: bytes) -> bytes:
        assert request == 0x8B2D
        assert given[:16] == b"wlan0".ljust(16, b"\0")
        return given[:20] + bytes([0, disabled]) + given[22:]

    assert power_saving("wlan0", answer) is saving


def test_an_interface_without_wifi_has_no_power_saving() -> None:
    assert power_saving("lo") is None
    assert power_saving("none-of-this-name-and-long") is None


@pytest.mark.parametrize(
    ("line", "resolves"),
    [
        ("hosts: files mdns4_minimal [NOTFOUND=return] dns", True),
        ("hosts:\tfiles resolve [!UNAVAIL=return] dns", True),
        ("hosts: files dns", False),
        ("hosts: files dns # mdns4", False),
    ],
)
def test_local_names_need_a_module(tmp_path: Path, line: str, resolves: bool) -> None:
    write(tmp_path, "etc/nsswitch.conf", f"passwd: files\n{line}\n")

    assert (names_fault("broker.local", tmp_path) is None) is resolves
    assert names_fault("broker.example.org", tmp_path) is None
    if not resolves:
        assert "libnss-mdns" in (names_fault("Broker.LOCAL.", tmp_path) or "")


@pytest.mark.parametrize(
    ("host", "here"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("broker.local", False)]
)
def test_a_broker_on_this_device_needs_no_network(host: str, here: bool) -> None:
    assert is_this_device(host) is here


def test_the_own_address_is_that_of_the_first_interface_with_one(tmp_path: Path) -> None:
    lay_link(tmp_path, "eth0", carrier="0")
    lay_link(tmp_path, "wlan0", carrier="1", wireless=True)

    def ioctl(channel: socket.socket, number: int, request: bytes) -> bytes:
        if request.startswith(b"eth0"):
            raise OSError(99, "Cannot assign requested address")
        return request[:20] + socket.inet_aton("192.168.1.7") + request[24:]

    assert own_address(tmp_path, ioctl) == "192.168.1.7"
    assert own_address(tmp_path / "without interfaces") == socket.gethostname()


def test_the_own_address_of_this_machine_can_be_bound() -> None:
    address = own_address()
    if address != socket.gethostname():
        with socket.socket() as listener:
            listener.bind((address, 0))
