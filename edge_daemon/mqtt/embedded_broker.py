"""A broker inside the process, for the demo: no other program has to run."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Literal

from edge_daemon.domain.errors import BrokerError
from edge_daemon.system.free_port import free_port
from edge_daemon.system.pip_hint import pip_install

_START_S = 10.0
_TRIES = 5


class EmbeddedBroker:
    """amqtt on a free port of the loopback interface, in a separate thread; a context manager.

    Anyone on this machine may connect. `port` is set at the start. Raises BrokerError when amqtt is missing
    or doesn't start.
    """

    host = "127.0.0.1"
    version: Literal["3.1.1"] = "3.1.1"
    """The MQTT version of amqtt, which may not answer a client of version 5 at all."""

    def __init__(self) -> None:
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)

    def __enter__(self) -> EmbeddedBroker:
        if find_spec("amqtt") is None:
            raise BrokerError(
                f"the demo's own broker needs amqtt; run {pip_install('demo')}, "
                "or use another broker with --set mqtt.host=HOST"
            )
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.CRITICAL)
        self._thread.start()
        if not self._started.wait(_START_S) or self._error is not None:
            raise BrokerError(f"the demo's own broker did not start: {self._error or 'no answer'}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as exc:
            self._error = exc
        finally:
            self._started.set()
            self._loop.close()

    async def _serve(self) -> None:
        broker = await self._start_broker()
        self._started.set()
        await self._stop.wait()
        await broker.shutdown()

    async def _start_broker(self) -> Any:
        """Start amqtt, at another port if one is taken between its choice and the start."""
        from amqtt.errors import BrokerError as StartError

        for _ in range(_TRIES - 1):
            with suppress(StartError):
                return await self._start_at(free_port())
        return await self._start_at(free_port())

    async def _start_at(self, port: int) -> Any:
        from amqtt.broker import Broker

        self.port = port
        broker: Any = Broker(_config(self.host, port))
        await broker.start()
        return broker


def _config(host: str, port: int) -> dict[str, Any]:
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
