"""Lockout of wrong tokens, and sessions while the clock is not synchronised."""

from __future__ import annotations

import pytest

from edge_daemon.board.clock import BootTime
from edge_daemon.web.auth import MAX_ADDRESSES, MAX_AGE_S, MAX_WRONG, WINDOW_S, Lockout, Sessions

TOKEN = "correct horse battery"
ATTACKER, OWNER = "203.0.113.9", "192.0.2.7"
CLOCK_STEP_S = 20 * 365 * 86400.0


class SettableClock:
    """A clock in seconds that the test sets."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class LoginHarness:
    """Sessions with a wall clock and a monotonic one."""

    def __init__(self) -> None:
        self.wall, self.monotonic = SettableClock(1_000_000.0), SettableClock(50.0)
        self.lockout = Lockout(self.monotonic)
        self.sessions = Sessions(TOKEN, self.wall, self.lockout)

    def guess(self, address: str, times: int = MAX_WRONG) -> None:
        for _ in range(times):
            assert self.sessions.login("wrong", address) is None


def test_an_address_is_locked_for_a_minute_after_ten_wrong_tokens() -> None:
    login = LoginHarness()
    login.guess(ATTACKER, MAX_WRONG - 1)
    assert not login.sessions.is_locked(ATTACKER)
    login.guess(ATTACKER, 1)
    assert login.sessions.is_locked(ATTACKER)
    assert login.sessions.login(TOKEN, ATTACKER) is None
    login.monotonic.now += WINDOW_S + 1
    assert login.sessions.login(TOKEN, ATTACKER) is not None


def test_guesses_while_locked_do_not_prolong_it() -> None:
    login = LoginHarness()
    for _ in range(int(WINDOW_S)):
        login.sessions.is_authorized(None, "Bearer wrong", ATTACKER)
        login.guess(ATTACKER, 1)
        login.monotonic.now += 1
    assert login.sessions.login(TOKEN, ATTACKER) is not None


def test_other_addresses_are_not_locked() -> None:
    login = LoginHarness()
    login.guess(ATTACKER)
    assert login.sessions.login(TOKEN, OWNER) is not None


def test_the_right_bearer_token_is_never_locked_out() -> None:
    login = LoginHarness()
    for _ in range(3 * MAX_WRONG):
        assert not login.sessions.is_authorized(None, "Bearer wrong", OWNER)
    assert login.sessions.is_locked(OWNER)
    assert login.sessions.is_authorized(None, f"Bearer {TOKEN}", OWNER)
    assert login.sessions.is_authorized(None, f"bearer  {TOKEN} ", OWNER)


def test_a_session_stays_valid_during_a_lockout() -> None:
    login = LoginHarness()
    cookie = login.sessions.login(TOKEN, OWNER)
    login.guess(OWNER)
    assert login.sessions.is_authorized(cookie, None, OWNER)


@pytest.mark.parametrize("jump_s", [-1e6, 1e6])
def test_a_jump_of_the_wall_clock_changes_no_lock(jump_s: float) -> None:
    login = LoginHarness()
    login.guess(ATTACKER)
    login.wall.now += jump_s
    assert login.sessions.is_locked(ATTACKER)
    login.monotonic.now += WINDOW_S + 1
    assert not login.sessions.is_locked(ATTACKER)


def test_the_addresses_of_one_ipv6_network_count_as_one() -> None:
    login = LoginHarness()
    for number in range(MAX_WRONG):
        login.guess(f"2001:db8:1:2::{number:x}", 1)
    assert login.sessions.is_locked("2001:db8:1:2:ffff::1")
    assert not login.sessions.is_locked("2001:db8:1:3::1")


def test_ipv4_clients_of_an_ipv6_socket_count_separately() -> None:
    login = LoginHarness()
    login.guess(f"::ffff:{ATTACKER}")
    assert login.sessions.is_locked(ATTACKER)
    assert not login.sessions.is_locked(f"::ffff:{OWNER}")


def test_memory_is_bounded_for_any_number_of_addresses() -> None:
    lockout = Lockout(SettableClock(0.0))
    for number in range(MAX_ADDRESSES + 500):
        lockout.count_wrong(f"{number} " + "x" * 10_000)
    held = lockout._wrong
    assert len(held) == MAX_ADDRESSES
    assert sum(map(len, held)) < 100 * MAX_ADDRESSES


class BootedDevice:
    """Sessions with a wall clock and a boot that the test sets."""

    def __init__(self, *, synced: bool) -> None:
        self.wall = 1_700_000_000.0
        self.boot = BootTime("boot-a", 50.0, synced)
        self.sessions = Sessions(TOKEN, lambda: self.wall, Lockout(lambda: 0.0), lambda: self.boot)

    def login(self) -> str:
        cookie = self.sessions.login(TOKEN, OWNER)
        assert cookie is not None
        return cookie

    def is_authorized(self, cookie: str) -> bool:
        return self.sessions.is_authorized(cookie, None, OWNER)


def test_setting_the_clock_ends_no_session() -> None:
    device = BootedDevice(synced=False)
    cookie = device.login()

    device.wall += CLOCK_STEP_S
    device.boot = BootTime("boot-a", 60.0, True)

    assert device.is_authorized(cookie)


def test_a_session_of_an_unset_clock_ends_after_its_time_or_with_the_boot() -> None:
    device = BootedDevice(synced=False)
    cookie = device.login()

    device.boot = BootTime("boot-a", 50.0 + MAX_AGE_S + 1, False)
    assert not device.is_authorized(cookie)
    device.boot = BootTime("boot-b", 5.0, False)
    assert not device.is_authorized(cookie)


def test_a_session_of_a_set_clock_survives_a_reboot_with_an_unset_one() -> None:
    device = BootedDevice(synced=True)
    cookie = device.login()

    device.boot = BootTime("boot-b", 5.0, False)
    device.wall -= 3600

    assert device.is_authorized(cookie)
    device.wall += MAX_AGE_S + 7200
    assert not device.is_authorized(cookie)


def test_the_boot_id_of_a_cookie_is_signed() -> None:
    device = BootedDevice(synced=False)
    end, _, signature = device.login().partition(".")

    for forged in (end.rpartition("/")[2], end.replace("boot-a", "boot-b"), f"/{end}"):
        assert not device.is_authorized(f"{forged}.{signature}")
