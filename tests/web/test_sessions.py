"""Sessions while the clock is not synchronised."""

from __future__ import annotations

from edge_daemon.board.clock import BootTime
from edge_daemon.web.auth import MAX_AGE_S, Lockout, Sessions

TOKEN = "correct horse battery"
OWNER = "192.0.2.7"
JUMP_S = 20 * 365 * 86400.0


class Device:
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
    device = Device(synced=False)
    cookie = device.login()

    device.wall += JUMP_S
    device.boot = BootTime("boot-a", 60.0, True)

    assert device.is_authorized(cookie)


def test_a_session_of_an_unset_clock_ends_after_its_time_or_with_the_boot() -> None:
    device = Device(synced=False)
    cookie = device.login()

    device.boot = BootTime("boot-a", 50.0 + MAX_AGE_S + 1, False)
    assert not device.is_authorized(cookie)
    device.boot = BootTime("boot-b", 5.0, False)
    assert not device.is_authorized(cookie)


def test_a_session_of_a_set_clock_survives_a_reboot_with_an_unset_one() -> None:
    device = Device(synced=True)
    cookie = device.login()

    device.boot = BootTime("boot-b", 5.0, False)
    device.wall -= 3600

    assert device.is_authorized(cookie)
    device.wall += MAX_AGE_S + 7200
    assert not device.is_authorized(cookie)


def test_the_boot_id_of_a_cookie_is_signed() -> None:
    device = Device(synced=False)
    end, _, signature = device.login().partition(".")

    for forged in (end.rpartition("/")[2], end.replace("boot-a", "boot-b"), f"/{end}"):
        assert not device.is_authorized(f"{forged}.{signature}")
