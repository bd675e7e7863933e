"""Requests to the supervisor: joined reloads, and changes that are withdrawn or outlast the wait."""

from __future__ import annotations

import threading

import pytest

from edge_daemon.app import reload_requests
from edge_daemon.app.reload_requests import ChangeRequest, ReloadRequests
from edge_daemon.config.schema import LoadedConfig
from edge_daemon.domain.errors import ConfigError, EdgeError, RequestError


class NoChange:
    """A change that is never served here."""

    def load(self) -> LoadedConfig:
        raise AssertionError("nobody serves this change")

    def commit(self) -> None:
        raise AssertionError("nobody serves this change")

    def revert(self, working: LoadedConfig, reason: str) -> None:
        raise AssertionError("nobody serves this change")


class Caller:
    """A thread that requests a change; `end` returns the error it got."""

    def __init__(self, requests: ReloadRequests) -> None:
        self._requests = requests
        self._error: EdgeError | None = None
        self._thread = threading.Thread(target=self._apply)
        self._thread.start()

    def _apply(self) -> None:
        try:
            self._requests.apply(NoChange())
        except EdgeError as exc:
            self._error = exc

    def end(self) -> EdgeError | None:
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self._error


def pop_change(requests: ReloadRequests) -> ChangeRequest:
    [request] = requests.pop()
    assert isinstance(request, ChangeRequest)
    return request


def test_pending_reloads_count_as_one() -> None:
    requests = ReloadRequests()
    requests.reload()
    requests.reload()
    requests.end()
    assert requests.pop() == [True, False]


def test_the_caller_gets_the_outcome() -> None:
    requests = ReloadRequests()
    written = Caller(requests)
    pop_change(requests).outcome.set_result(None)
    assert written.end() is None
    refused = Caller(requests)
    pop_change(requests).outcome.set_exception(ConfigError("refused"))
    assert str(refused.end()) == "refused"


def test_a_change_is_withdrawn_if_its_turn_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload_requests, "CHANGE_TIMEOUT_S", 0.05)
    requests = ReloadRequests()
    with pytest.raises(RequestError, match=r"not checked within 0\.05 s; try again"):
        requests.apply(NoChange())
    assert not pop_change(requests).outcome.set_running_or_notify_cancel()


def test_a_change_that_is_being_checked_is_not_withdrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload_requests, "CHANGE_TIMEOUT_S", 0.5)
    requests = ReloadRequests()
    caller = Caller(requests)
    assert pop_change(requests).outcome.set_running_or_notify_cancel()
    assert "still being checked after 0.5 s" in str(caller.end())
