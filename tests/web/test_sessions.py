"""Sessions while the clock is not synchronised."""

from __future__ import annotations

from edge_daemon.board.clock import BootTime
from edge_daemon.web.auth import LASTS_S, Lockout, Sessions

TOKEN = "correct horse battery"
OWNER = "192.0.2.7"
JUMP_S = 20 * 365 * 86400.0


class Device:
    """Sessions with a wall clock and a boot that the test sets."""

    def __init__(self, *, synced: bool) -> None:
        self.wall = 1_700_000_000.0
        self.boot = BootTime("boot-a", 50.0, synced)
        self.sessions = Sessions(TOKEN, lambda: self.wall, Lockout(lambda: 0.0), lambda: self.boot)

    def enter(self) -> str:
        cookie = self.sessions.enter(TOKEN, OWNER)
        assert cookie is not None
        return cookie

    def knows(self, cookie: str) -> bool:
        return self.sessions.knows(cookie, None, OWNER)


def test_setting_the_clock_ends_no_session() -> None:
    device = Device(synced=False)
    cookie = device.enter()

    device.wall += JUMP_S
    device.boot = BootTime("boot-a", 60.0, True)

    assert device.knows(cookie)


def test_a_session_of_an_unset_clock_ends_after_its_time_or_with_the_boot() -> None:
    device = Device(synced=False)
    cookie = device.enter()

    device.boot = BootTime("boot-a", 50.0 + LASTS_S + 1, False)
    assert not device.knows(cookie)
    device.boot = BootTime("boot-b", 5.0, False)
    assert not device.knows(cookie)


def test_a_session_of_a_right_clock_outlives_a_reboot_into_an_unset_one() -> None:
    device = Device(synced=True)
    cookie = device.enter()

    device.boot = BootTime("boot-b", 5.0, False)
    device.wall -= 3600

    assert device.knows(cookie)
    device.wall += LASTS_S + 7200
    assert not device.knows(cookie)


def test_a_boot_in_a_cookie_can_not_be_exchanged() -> None:
    device = Device(synced=False)
    end, _, signature = device.enter().partition(".")

    for forged in (end.rpartition("/")[2], end.replace("boot-a", "boot-b"), f"/{end}"):
        assert not device.knows(f"{forged}.{signature}")
