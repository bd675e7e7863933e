"""The command line's manners: exit codes, one-line errors, help without cost."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edge_daemon import __version__
from edge_daemon.cli import config
from edge_daemon.cli.help_examples import EXAMPLES
from edge_daemon.cli.main import COMMANDS, main, parse_words
from edge_daemon.config import schema


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_the_common_options(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "--config FILE" in text
    assert "--set KEY.PATH=VALUE" in text


@pytest.mark.parametrize("words", [["examples", "import"], ["models", "pull"], ["config", "check"]])
def test_every_action_has_the_common_options_in_its_help(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(option in text for option in ("--config FILE", "--set KEY.PATH=VALUE", "--json", "--debug"))


@pytest.mark.parametrize(
    ("name", "line"), [(name, line) for name, text in EXAMPLES.items() for line in text.split("\n  ")[1:]]
)
def test_an_example_of_the_help_is_a_command_of_that_name(
    name: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(line)
    words = words[words.index("edge-daemon") :]
    if words[:2] == ["edge-daemon", "edge-daemon"]:  # of `sudo -u edge-daemon edge-daemon`
        words = words[1:]
    assert " ".join(words[1:]).startswith(name)
    parse_words(words[1:])
    with pytest.raises(SystemExit):
        main([*name.split(), "--help"])
    assert f"  {line.rstrip()}\n" in capsys.readouterr().out


def test_a_check_without_a_file_says_that_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (config, schema):
        monkeypatch.setattr(module, "DEFAULT_PATH", tmp_path / "config.yaml")
    assert main(["config", "check", "--set", "camera.type=synthetic"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'config.yaml'}: no such file; the defaults are ok\n"


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["dance"],
        ["config"],
        ["config", "bake"],
        ["run", "--fast"],
        ["config", "--config", "", "show"],
        ["classify", "x.jpg", "--model", ""],
        ["evaluate", "--model", ""],
    ],
)
def test_wrong_usage_exits_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: edge-daemon" in capsys.readouterr().err


def test_named_failure_is_one_line_and_exits_1(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("mqtt: {prot: 1}\n")
    assert main(["config", "check", "--config", str(path)]) == 1
    captured = capsys.readouterr()
    assert captured.err == f"edge-daemon: {path}:1: mqtt.prot: unknown key; did you mean 'port'?\n"
    assert captured.out == ""


def test_config_show_tells_value_and_origin(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("mqtt:\n  port: 1884\n")
    assert main(["config", "show", "--config", str(path), "--set", "classifier.k=5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"mqtt.port: 1884  # {path}:2" in lines
    assert "classifier.k: 5  # --set" in lines
    assert 'classifier.metric: "cosine"  # default' in lines


def test_config_show_and_schema_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--json", "--set", "mqtt.host=null"]) == 0
    assert json.loads(capsys.readouterr().out)["mqtt"]["host"] is None
    assert main(["config", "schema"]) == 0
    assert "$defs" in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "config").glob("*.yaml")), ids=lambda p: p.name
)
def test_every_shipped_configuration_loads(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check", "--config", str(path)]) == 0


def test_default_configuration_is_right_with_every_comment_taken_away(tmp_path: Path) -> None:
    """Every setting of the commented file is valid when it is uncommented."""
    text = (Path(__file__).parents[2] / "config/default.yaml").read_text()
    head, _, body = text.partition("\n\n")
    uncommented = "\n".join(line.removeprefix("# ") if line.startswith("# ") else line.replace("#  ", "  ", 1)
                     if line.startswith("#  ") else line for line in body.splitlines())  # fmt: skip
    path = tmp_path / "config.yaml"
    path.write_text(uncommented)
    assert head.startswith("#")
    assert main(["config", "check", "--config", str(path)]) == 0


def test_numpy_is_loaded_with_one_thread() -> None:
    code = (
        "import os\nfrom edge_daemon.cli.main import main\n"
        "try:\n    main(['bench', '--help'])\nexcept SystemExit:\n    pass\n"
        "print('threads', len(os.listdir('/proc/self/task')))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "threads 1"


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["examples", "export", "x", "--format", "folder"], "usage: edge-daemon examples export "),
        (["examples", "list", "more"], "usage: edge-daemon examples list "),
        (["doctor", "--nope"], "usage: edge-daemon doctor "),
        (["config", "set", "a.b=1", "--nope"], "usage: edge-daemon config set "),
        (["--nope", "doctor"], "usage: edge-daemon "),
    ],
)
def test_an_unknown_argument_shows_the_usage_of_its_command(
    capsys: pytest.CaptureFixture[str], words: list[str], usage: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith(usage)
    assert "unrecognized arguments: " in shown


@pytest.mark.parametrize(
    "words",
    [
        ["examples", "import", ""],
        ["examples", "export", ""],
        ["examples", "add", "cat", ""],
        ["examples", "salvage", ""],
        ["examples", "fetch", ""],
        ["classify", ""],
        ["classify", "a.jpg", "--store", ""],
        ["evaluate", ""],
        ["evaluate", "--far", ""],
        ["evaluate", "--report", ""],
        ["models", "add", ""],
        ["models", "add", "a.tflite", "--labels", ""],
        ["models", "inspect", ""],
        ["models", "use", ""],
        ["try", "--pictures", ""],
        ["try", "--keep", ""],
        ["doctor", "--report", ""],
        ["bench", "--csv", ""],
        ["demo", "--model", ""],
        ["run", "--config", ""],
    ],
)
def test_an_empty_path_as_of_an_unset_variable_is_not_the_working_folder(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "is missing; is the variable set?" in capsys.readouterr().err
