"""Labels of a running daemon are renamed, merged, undone and redone over a broker and by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_daemon.cli.main import main
from tests.harness.daemon_harness import Stage, Turntable
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.web_harness import still

BASE = "edge_daemon/stage"


class Asker:
    """Sends requests and returns the responses."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self._number = 0

    def ask(self, verb: str, **body: object) -> dict[str, Any]:
        self._number += 1
        self.listener.clear()
        self.listener.publish(f"{BASE}/request/{verb}", json.dumps({**body, "transaction": self._number}))
        answer = self.listener.wait_for(f"{BASE}/response/{verb}").json()
        assert answer["transaction"] == self._number
        return answer


def test_a_label_is_renamed_merged_undone_and_redone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Turntable(still("gear"))
    buttons = 'buttons=[{"pin": 17, "label": "gear"}]'
    with Mosquitto() as broker, Listener(broker.port) as listener:
        own = [f"mqtt.host={broker.host}", f"mqtt.port={broker.port}", buttons]
        with Stage(table, own, tmp_path) as stage:
            asker = Asker(listener)
            stage.click(17)
            listener.wait_for(f"{BASE}/label", b"gear")
            renamed = asker.ask("rename", label="gear", to="cog")["data"]
            assert (renamed["label"], renamed["moved"]) == ("cog", 1)
            assert renamed["still_named"] == ["buttons[0] (BCM 17) still teaches 'gear'"]
            listener.wait_for(f"{BASE}/label", b"cog")
            refused = asker.ask("rename", label="gear", to="wheel")
            assert refused["error"] == "the store holds no examples of 'gear'"
            merged = asker.ask("merge", labels=["cog"], into="part")["data"]
            listener.wait_for(f"{BASE}/label", b"part")
            assert asker.ask("undo")["data"]["text"] == "1 example of 'part' moved to 'cog'"
            listener.wait_for(f"{BASE}/label", b"cog")
            assert asker.ask("redo", change=merged["change"])["data"]["counts"] == {"cog": 0, "part": 1}
            listener.wait_for(f"{BASE}/label", b"part")
            listener.clear()
            store = ["--set", f"store.path={stage.store_path}"]
            assert main(["examples", "rename", "part", "gear", *store]) == 0
            assert "1 example moved to 'gear'" in capsys.readouterr().out
            listener.wait_for(f"{BASE}/label", b"gear")
