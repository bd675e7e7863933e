"""The end of a replay in the whole daemon: one warning with the remedy, and no restoration after it."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from edge_daemon.app.build import build
from edge_daemon.config.schema import load_config
from tests.harness.daemon_harness import wait_until


def test_the_end_of_a_replay_is_one_outage_and_names_the_key_that_repeats_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        picture = np.full((64, 64, 3), 80 * number, np.uint8)
        PIL.Image.fromarray(picture).save(tmp_path / f"{number}.png")
    camera = f"camera={{type: replay, path: {json.dumps(str(tmp_path))}}}"
    daemon = build(
        load_config(None, [camera, "mqtt.host=null", f"store.path={tmp_path}/state/examples.sqlite"])
    )
    thread = threading.Thread(target=daemon.run)
    with caplog.at_level(logging.INFO):
        thread.start()
        try:
            wait_until(lambda: "lost" if "camera lost: " in caplog.text else "", lambda: caplog.text)
            thread.join(0.5)  # a frame after the report would be in the pipeline's next batch
            assert not daemon.camera_works
        finally:
            daemon.stop()
            thread.join(30)
    assert caplog.text.count("camera lost: ") == 1
    assert "camera lost: the source has ended; set camera.loop: true to repeat it\n" in caplog.text
    assert "restored" not in caplog.text
