"""Wrong tokens lock out the address they came from, for a minute, and never the right bearer token."""

from __future__ import annotations

import pytest

from edge_daemon.web.auth import MAX_ADDRESSES, MAX_WRONG, WINDOW_S, Lockout, Sessions

TOKEN = "correct horse battery"
ATTACKER, OWNER = "203.0.113.9", "192.0.2.7"


class SetClock:
    """A clock in seconds that the test sets."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Door:
    """Sessions with a wall clock and a monotonic one."""

    def __init__(self) -> None:
        self.wall, self.monotonic = SetClock(1_000_000.0), SetClock(50.0)
        self.lockout = Lockout(self.monotonic)
        self.sessions = Sessions(TOKEN, self.wall, self.lockout)

    def guess(self, address: str, times: int = MAX_WRONG) -> None:
        for _ in range(times):
            assert self.sessions.enter("wrong", address) is None


def test_an_address_is_locked_for_a_minute_after_ten_wrong_tokens() -> None:
    door = Door()
    door.guess(ATTACKER, MAX_WRONG - 1)
    assert not door.sessions.locked(ATTACKER)
    door.guess(ATTACKER, 1)
    assert door.sessions.locked(ATTACKER)
    assert door.sessions.enter(TOKEN, ATTACKER) is None
    door.monotonic.now += WINDOW_S + 1
    assert door.sessions.enter(TOKEN, ATTACKER) is not None


def test_guesses_while_locked_do_not_prolong_it() -> None:
    door = Door()
    for _ in range(int(WINDOW_S)):
        door.sessions.knows(None, "Bearer wrong", ATTACKER)
        door.guess(ATTACKER, 1)
        door.monotonic.now += 1
    assert door.sessions.enter(TOKEN, ATTACKER) is not None


def test_other_addresses_are_not_locked() -> None:
    door = Door()
    door.guess(ATTACKER)
    assert door.sessions.enter(TOKEN, OWNER) is not None


def test_the_right_bearer_token_is_never_locked_out() -> None:
    door = Door()
    for _ in range(3 * MAX_WRONG):
        assert not door.sessions.knows(None, "Bearer wrong", OWNER)
    assert door.sessions.locked(OWNER)
    assert door.sessions.knows(None, f"Bearer {TOKEN}", OWNER)
    assert door.sessions.knows(None, f"bearer  {TOKEN} ", OWNER)


def test_a_session_outlives_a_lock_out() -> None:
    door = Door()
    cookie = door.sessions.enter(TOKEN, OWNER)
    door.guess(OWNER)
    assert door.sessions.knows(cookie, None, OWNER)


@pytest.mark.parametrize("jump_s", [-1e6, 1e6])
def test_a_jump_of_the_wall_clock_changes_no_lock(jump_s: float) -> None:
    door = Door()
    door.guess(ATTACKER)
    door.wall.now += jump_s
    assert door.sessions.locked(ATTACKER)
    door.monotonic.now += WINDOW_S + 1
    assert not door.sessions.locked(ATTACKER)


def test_the_addresses_of_one_ipv6_network_count_as_one() -> None:
    door = Door()
    for number in range(MAX_WRONG):
        door.guess(f"2001:db8:1:2::{number:x}", 1)
    assert door.sessions.locked("2001:db8:1:2:ffff::1")
    assert not door.sessions.locked("2001:db8:1:3::1")


def test_ipv4_clients_of_an_ipv6_socket_count_each_for_itself() -> None:
    door = Door()
    door.guess(f"::ffff:{ATTACKER}")
    assert door.sessions.locked(ATTACKER)
    assert not door.sessions.locked(f"::ffff:{OWNER}")


def test_memory_is_bounded_however_many_addresses_guess() -> None:
    lockout = Lockout(SetClock(0.0))
    for number in range(MAX_ADDRESSES + 500):
        lockout.count_wrong(f"{number} " + "x" * 10_000)
    held = lockout._wrong
    assert len(held) == MAX_ADDRESSES
    assert sum(map(len, held)) < 100 * MAX_ADDRESSES
