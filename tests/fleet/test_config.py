from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.app.build import build
from edge_daemon.config.schema import load_config
from edge_daemon.domain.errors import ConfigError, FleetError


def test_without_a_group_nothing_is_shared() -> None:
    assert load_config(None, []).fleet.group is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["mqtt.host=null"], "a fleet needs a broker; set mqtt.host"),
        (["classifier.type=pretrained"], "learns no examples that could be shared"),
        (["fleet.group=a/b"], "fleet.group"),
        (["fleet.max_examples=0"], "fleet.max_examples"),
        (["fleet.key=00112233"], "unknown key"),
    ],
)
def test_an_unusable_fleet_configuration_is_rejected(settings: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(None, ["fleet.group=sorters", *settings])


def test_a_group_without_a_key_ends_the_start_in_one_line(tmp_path: Path) -> None:
    config = load_config(None, ["fleet.group=sorters", f"store.path={tmp_path / 'a.sqlite'}"])
    with pytest.raises(FleetError, match="openssl rand -hex 32"):
        build(config)
