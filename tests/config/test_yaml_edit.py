"""A changed model.name: everything else in the file stays, or the file is refused with what to write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_daemon.config.paths import package_data
from edge_daemon.config.schema import load_config
from edge_daemon.config.yaml_edit import check_writable, read_config_text, with_value, write_config_text
from edge_daemon.domain.errors import ConfigError


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("model:\n  name: old   # mine\n  threads: 2\n", "model:\n  name: new   # mine\n  threads: 2\n"),
        ("a: 1\nmodel:\n    threads: 2 # two\n", "a: 1\nmodel:\n    name: new\n    threads: 2 # two\n"),
        ("model:\n#  name: x\nb: 1\n", "model:\n  name: new\n#  name: x\nb: 1\n"),
        ("model: # one & two\n  name:\n  threads: 1\n", "model: # one & two\n  name: new\n  threads: 1\n"),
        ("model:\n  'name': \"old\"\n", "model:\n  'name': new\n"),
        ("", "model:\n  name: new\n"),
        ("# nothing yet\n", "# nothing yet\nmodel:\n  name: new\n"),
        ("camera:\n  type: synthetic", "camera:\n  type: synthetic\nmodel:\n  name: new\n"),
        ("a: 1\r\nmodel:\r\n  threads: 1\r\n", "a: 1\r\nmodel:\r\n  name: new\r\n  threads: 1\r\n"),
        ("x-m: &m {threads: 2}\nmodel:\n  <<: *m\n", "x-m: &m {threads: 2}\nmodel:\n  name: new\n  <<: *m\n"),
        ("text: |\n  a\n# model:\nb: 2\n", "text: |\n  a\nmodel:\n  name: new\n# model:\nb: 2\n"),
        ('t: "x\n# model:\n y"\n', 't: "x\n# model:\n y"\nmodel:\n  name: new\n'),
        ("\ufeffmodel:\n  name: old\n", "\ufeffmodel:\n  name: new\n"),
    ],
)
def test_only_the_name_changes(before: str, after: str) -> None:
    assert with_value(before, "model.name", "new", "c.yaml") == after


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model: {name: old}\n", "line 1: the section 'model' is in flow style"),
        ("{model: {name: old}}\n", "it is in flow style"),
        ("model:\n  name: a\nmodel:\n  name: b\n", "c.yaml:3: duplicate key 'model'; keep one"),
        ("model:\n  name: a\n  name: b\n", "c.yaml:3: duplicate key 'model.name'"),
        ("x-m: &m {threads: 2}\nmodel: *m\n", "line 2: 'model' has an anchor"),
        ("model: &m\n  name: a\n", "line 1: 'model' has an anchor"),
        ("x-n: &n foo\nmodel:\n  name: *n\n", "line 3: 'model.name' has an anchor"),
        ("model:\n  name: &n foo\nx-a: *n\n", "line 2: 'model.name' has an anchor"),
        ("model:\n  name: !!str a\n", "line 2: 'model.name' has an anchor, an alias or a tag"),
        ("x-m: &m\n  model: {threads: 2}\n<<: *m\n", "without changing something else"),
        ("model:\n  name: >\n   a\n", "line 2: 'model.name' is no value on one line"),
        ('model:\n  name: "a\n   b"\n', "line 2: 'model.name' is no value on one line"),
        ("model: fast\n", "line 1: 'model' is no section"),
        ("a: 1\n...\n", "without changing something else"),
        ("- a\n", "expected sections"),
        ("a: [\n", "not YAML"),
        ("a: 1\n---\nb: 2\n", "not YAML"),
    ],
)
def test_a_file_that_can_not_be_changed_safely_is_refused_with_what_to_write(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_value(text, "model.name", "new", "c.yaml")
    line = str(caught.value)
    assert line.startswith("c.yaml:")
    assert reason in line
    assert "Write `name: new` into the section `model` yourself" in line
    assert "\n" not in line


@pytest.mark.parametrize("name", ["null", "1.5", "a: b", "no", "/m/größe 2.tflite", "x#y"])
def test_a_name_that_yaml_would_read_as_something_else_is_quoted(name: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(with_value("model:\n  threads: 1\n", "model.name", name, "c.yaml"))
    assert load_config(path).model.name == name


def test_the_shipped_configuration_gets_the_section_beside_its_commented_one(tmp_path: Path) -> None:
    shipped = (package_data("config") / "default.yaml").read_text()
    changed = with_value(shipped, "model.name", "new", "c.yaml")
    assert "\nmodel:\n  name: new\n# model:\n" in changed
    assert changed.replace("model:\n  name: new\n", "", 1) == shipped


def test_the_file_is_replaced_with_its_permissions_and_through_its_link(tmp_path: Path) -> None:
    file, link = tmp_path / "real.yaml", tmp_path / "c.yaml"
    file.write_text("a: 1\n")
    file.chmod(0o640)
    link.symlink_to(file)
    write_config_text(link, "a: 1\n", "a: 2\n")
    assert link.is_symlink()
    assert read_config_text(file) == "a: 2\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == ["c.yaml", "real.yaml"]


def test_a_file_that_was_changed_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("a: 3\n")
    with pytest.raises(ConfigError, match="changed by someone else meanwhile"):
        write_config_text(path, "a: 1\n", "a: 2\n")
    assert path.read_text() == "a: 3\n"


def test_a_folder_without_permission_is_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match=r"no permission in .*; run the command with sudo"):
        check_writable(tmp_path / "c.yaml")
