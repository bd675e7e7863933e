"""Lockout: wrong tokens lock their address for a minute, and never the right bearer token."""

from __future__ import annotations

import pytest

from edge_daemon.web.auth import MAX_ADDRESSES, MAX_WRONG, WINDOW_S, Lockout, Sessions

TOKEN = "correct horse battery"
ATTACKER, OWNER = "203.0.113.9", "192.0.2.7"


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
