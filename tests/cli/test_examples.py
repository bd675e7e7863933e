"""The store from the shell, with a real model and real photos."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from edge_daemon.cli.main import main
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.store import ExampleStore
from tests.harness.shared_files import shared_path

_SMALL = "models/mobilenet_v1_0.25_128_quant.tflite"
_OTHER = "models/mobilenet_v1_0.5_160_quant.tflite"


class Shell:
    """Runs `edge-daemon examples` on one store and keeps what it said."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture):
        self.store_path = folder / "examples.sqlite"
        self._capsys = capsys
        self._caplog = caplog
        self.error = ""

    def run(self, *words: object, model: str = _SMALL) -> tuple[int, list[str]]:
        """The exit status and the lines on stdout."""
        options = [f"store.path={self.store_path}", f"model.name={shared_path(model)}"]
        settings = [word for option in options for word in ("--set", option)]
        self._caplog.clear()
        status = main(["examples", *map(str, words), *settings])
        captured = self._capsys.readouterr()
        self.error = captured.err + self._caplog.text
        return status, captured.out.splitlines()

    def ask(self, *words: object, model: str = _SMALL) -> list[dict[str, object]]:
        """The JSON objects of a command that succeeds."""
        status, lines = self.run(*words, "--json", model=model)
        assert status == 0, self.error
        return [json.loads(line) for line in lines]


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Shell:
    return Shell(tmp_path, capsys, caplog)


def test_photos_are_added_listed_and_removed(shell: Shell) -> None:
    cat, dog = shared_path("images/cat.jpg"), shared_path("images/imprinting/train/dog/0.jpg")
    assert shell.ask("add", " cat ", cat) == [
        {"added": 1, "duplicates": 0, "problems": [], "counts": {"cat": 1}}
    ]
    shell.ask("add", "dog", dog)
    assert [(one["label"], one["count"]) for one in shell.ask("list")] == [("cat", 1), ("dog", 1)]
    (undone,) = shell.ask("undo")
    assert (undone["text"], undone["counts"]) == ("1 example of 'dog' removed", {"cat": 1})
    assert shell.ask("clear", "cat") == [{"label": "cat", "removed": 1}]
    assert shell.ask("list") == []
    (undone,) = shell.ask("undo")
    assert (undone["text"], undone["counts"]) == ("1 example of 'cat' restored", {"cat": 1})
    (redone,) = shell.ask("redo")
    assert (redone["change"], redone["counts"]) == (undone["change"], {})


def test_labels_are_renamed_and_merged_with_a_warning_of_the_buttons_that_name_them(
    shell: Shell, tmp_path: Path
) -> None:
    shell.run("import", shared_path("images/imprinting/train"))
    (renamed,) = shell.ask("rename", "hotdog", " sausage ")
    assert renamed == {"label": "sausage", "moved": 2, "counts": {"cat": 1, "dog": 1, "sausage": 2}}
    buttons = 'buttons=[{"pin": 17, "label": "cat"}, {"pin": 27, "label": "dog"}]'
    (merged,) = shell.ask("merge", "cat", "dog", "dog", "--set", buttons)
    assert (merged["label"], merged["moved"], merged["counts"]) == ("dog", 1, {"dog": 2, "sausage": 2})
    assert "buttons[0] (BCM 17) still teaches 'cat'; change it in the configuration" in shell.error
    assert "buttons[1]" not in shell.error
    for counts in ({"cat": 1, "dog": 1, "sausage": 2}, {"cat": 1, "dog": 1, "hotdog": 2}, {}):
        assert shell.ask("undo")[0]["counts"] == counts, "the import is one change"
    assert shell.ask("redo")[0]["counts"] == {"cat": 1, "dog": 1, "hotdog": 2}


def test_a_folder_is_imported_and_every_export_is_recognised(shell: Shell, tmp_path: Path) -> None:
    (taken,) = shell.ask("import", shared_path("images/imprinting/train"))
    assert taken["counts"] == {"cat": 1, "dog": 1, "hotdog": 2}
    for name in ("out.zip", "ml5.json", "pictures"):
        (given,) = shell.ask("export", tmp_path / name)
        assert given == {"path": str(tmp_path / name), "exported": 4, "without_picture": 0}
        (again,) = shell.ask("import", tmp_path / name)
        assert (again["added"], again["duplicates"], again["problems"]) == (0, 4, [])


def test_a_browser_dataset_gets_a_space_of_its_own_or_the_one_it_is_given(
    shell: Shell, tmp_path: Path
) -> None:
    shell.ask("import", shared_path("images/imprinting/train"))
    shell.ask("export", tmp_path / "tfjs.json", "--form", "tfjs")
    with ExampleStore(shell.store_path) as store:
        (home,) = store.spaces()
    assert shell.ask("import", tmp_path / "tfjs.json", "--space", home)[0]["duplicates"] == 4
    assert shell.ask("import", tmp_path / "tfjs.json")[0]["added"] == 4
    with ExampleStore(shell.store_path) as store:
        assert list(store.spaces().values()) == [4, 4]


def test_embeddings_of_another_model_are_named_at_once(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "knn.json"
    path.write_text(json.dumps([["cat", [1, 2], [1, 2]]]))
    assert shell.ask("import", path)[0]["added"] == 1
    assert "embeddings of 2 numbers do not fit the model" in shell.error
    assert "which makes 256, nor any other model here" in shell.error
    path.write_text(json.dumps([["cat", [1] * 256, [1, 256]]]))
    shell.ask("import", path)
    space = shell.error.split("--space '")[1].split("'")[0]
    path.write_text(json.dumps([["cat", [2, 1], [1, 2]]]))
    assert shell.run("import", path, "--space", space) == (1, [])
    assert "embeddings of 2 numbers can't be of" in shell.error


def test_labels_are_renamed_on_import(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "knn.json"
    path.write_text("\ufeff" + json.dumps([["C#", [1, 2], [1, 2]], ["D", [2, 1], [1, 2]]]))
    assert shell.run("import", path)[1] == ["1 example in, 0 known already, 1 left out"]
    assert "--rename" in shell.error
    assert shell.ask("import", path, "--rename", "C#=C sharp")[0]["counts"] == {"C sharp": 1, "D": 1}
    shell.ask("export", tmp_path / "out.zip")
    shell.ask("clear")
    (taken,) = shell.ask("import", tmp_path / "out.zip", "--rename", "D=E")
    assert taken["counts"] == {"C sharp": 1, "E": 1}


def test_a_project_of_teachable_machine_is_imported(shell: Shell, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "project.tm", "w") as project:
        project.writestr("manifest.json", '{"type": "image"}')
        project.writestr("cat-!-0.jpg", shared_path("images/cat.jpg").read_bytes())
        project.writestr("bird-!-0.jpg", shared_path("images/bird.jpg").read_bytes())
    assert shell.ask("import", tmp_path / "project.tm")[0]["counts"] == {"bird": 1, "cat": 1}


def test_examples_are_reembedded_for_another_model(shell: Shell) -> None:
    shell.ask("import", shared_path("images/imprinting/train"))
    assert shell.ask("reembed", model=_OTHER)[0]["added"] == 4
    assert shell.ask("reembed", model=_OTHER)[0]["added"] == 0


def test_an_archive_of_another_model_is_imported_with_the_remedy(shell: Shell, tmp_path: Path) -> None:
    shell.ask("add", "cat", shared_path("images/cat.jpg"))
    shell.run("export", tmp_path / "x.zip")
    shell.run("import", tmp_path / "x.zip")
    assert "another model" not in shell.error
    shell.run("clear")
    shell.run("import", tmp_path / "x.zip", model=_OTHER)
    assert "1 example of another model or other features, which 'mobilenet_v1_0.5_160_quant'" in shell.error
    assert "`edge-daemon examples reembed`" in shell.error


def kept_aside(shell: Shell, folder: Path) -> Path:
    """Teach, damage an index, let the store be salvaged, and clear it; the damaged file."""
    shell.ask("import", shared_path("images/imprinting/train"))
    with ExampleStore(shell.store_path) as store:
        store.remove([4])
    with closing(sqlite3.connect(shell.store_path)) as connection:
        [[root]] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'living_pictures'")
        connection.execute("UPDATE examples SET label = 'cow' WHERE id = 1")
        connection.commit()
    content = bytearray(shell.store_path.read_bytes())
    content[(root - 1) * 4096 : (root - 1) * 4096 + 64] = b"\xff" * 64
    shell.store_path.write_bytes(content)
    assert sum(int(str(one["count"])) for one in shell.ask("list")) == 2
    assert "example 1 ('cow'): the row differs from its checksum" in shell.error
    (kept,) = folder.glob("*.corrupt-*Z")
    return kept


def test_readable_examples_of_a_damaged_store_can_be_imported_later(shell: Shell, tmp_path: Path) -> None:
    kept = kept_aside(shell, tmp_path)
    before = kept.read_bytes()
    (report,) = shell.ask("salvage", kept)
    assert (report["added"], report["duplicates"]) == (0, 2)
    assert report["problems"] == ["example 1 ('cow'): the row differs from its checksum"]
    shell.store_path.unlink()
    assert shell.run("salvage", kept) == (0, ["2 examples in, 0 known already, 1 left out"])
    assert kept.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no store", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_holds_nothing_to_salvage_is_one_line(
    shell: Shell, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "kept"
    path.write_bytes(content)
    assert shell.run("salvage", path) == (1, [])
    assert f"nothing can be read of '{path}'" in shell.error
    assert path.read_bytes() == content
    for wrong, words in ((tmp_path / "nowhere", "No such file"), (Path("/dev/null"), "is no file")):
        assert shell.run("salvage", wrong) == (1, [])
        assert words in shell.error
    assert shell.run("salvage", shell.store_path) == (1, [])
    assert "is the store in use" in shell.error


def test_the_list_needs_no_model(shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shell.ask("add", "cat", shared_path("images/cat.jpg"))
    settings = ["--set", f"store.path={shell.store_path}", "--set", f"model.name={tmp_path / 'gone.tflite'}"]
    assert main(["examples", "list", "--json", *settings]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 1


def test_the_list_says_what_its_evaluation_holds_for(shell: Shell) -> None:
    shell.run("import", shared_path("images/imprinting/train"))
    assert {one["sessions"] for one in shell.ask("list")} == {1}
    assert "measured in one session; show each thing again in other light or on another day" in shell.error
    with ExampleStore(shell.store_path) as store, store.transaction():
        for each in list(store):
            earlier = each.created_at - timedelta(days=1)
            store.add_record(ExampleRecord(each.embedding, each.label, each.space, created_at=earlier))
    assert {one["sessions"] for one in shell.ask("list")} == {2}
    assert "accuracy 100 %: measured across sessions: each one is predicted by the others" in shell.error


def test_text_for_people(shell: Shell, tmp_path: Path) -> None:
    status, lines = shell.run("import", shared_path("images/imprinting/train"))
    assert (status, lines) == (0, ["4 examples in, 0 known already, 0 left out"])
    _, lines = shell.run("list")
    assert lines[2].split("\t")[:2] == ["hotdog", "2"]
    _, lines = shell.run("clear")
    assert lines == ["removed 4 examples"]
    assert shell.run("list") == (0, ["no examples yet"])


def test_a_picture_that_is_none_fails_but_the_others_are_taught(shell: Shell, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no image")
    status, _ = shell.run("add", "cat", bad, shared_path("images/cat.jpg"))
    assert status == 1
    assert str(bad) in shell.error
    assert shell.ask("list")[0]["count"] == 1


def test_similar_labels_are_a_warning(shell: Shell) -> None:
    shell.run("add", "hot dog", shared_path("images/hot_dog.jpg"))
    shell.run("add", "Hotdog", shared_path("images/cat.jpg"))
    assert "'hot dog' and 'Hotdog' differ only in case or spaces" in shell.error


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["add", "a/b", "x.jpg"], "'a/b'"),
        (["add", "cat", "nowhere.jpg"], "nowhere.jpg does not exist"),
        (["add", "cat", "x.jpg", "--region", "left"], "no region 'left'; regions are frame"),
        (["import", "nowhere"], "'nowhere' can't be read: No such file or directory"),
        (["import", "/dev/zero"], "'/dev/zero' can't be read: it is a device, not a regular file"),
        (["import", "README.md"], "'README.md' can't be imported"),
        (["import", "README.md"], "; `examples salvage` reads a store"),
        (["export", "/proc/nowhere/out"], "can't export to '/proc/nowhere/out'"),
        (["export", "out.json"], "no examples"),
        (["undo"], "nothing to undo"),
        (["clear", "fox"], "no examples of 'fox'"),
        (["redo"], "nothing to redo"),
        (["rename", "fox", "vixen"], "no examples of 'fox'"),
        (["merge", "fox", "cat"], "no examples of 'fox'"),
    ],
)
def test_failures_are_one_line(shell: Shell, words: list[str], complaint: str) -> None:
    ExampleStore(shell.store_path).close()
    assert shell.run(*words) == (1, [])
    assert complaint in shell.error
    assert "Traceback" not in shell.error


def test_a_folder_with_a_bad_picture_is_imported_and_one_of_bad_pictures_is_a_failure(
    shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "teach" / "cat").mkdir(parents=True)
    for name in ("bad.jpg", "worse.jpg"):
        (tmp_path / "teach" / "cat" / name).write_text("no image")
    assert shell.run("import", tmp_path / "teach") == (1, [])
    assert "nothing imported" in shell.error
    assert "(and 1 more)" in shell.error
    (tmp_path / "teach" / "cat" / "cat.jpg").write_bytes(shared_path("images/cat.jpg").read_bytes())
    assert shell.run("import", tmp_path / "teach") == (0, ["1 example in, 0 known already, 2 left out"])
    assert "worse.jpg" in shell.error


@pytest.mark.parametrize("words", [[], ["fly"], ["add", "cat"], ["import"], ["export"], ["undo", "2"]])
def test_wrong_usage_exits_2(shell: Shell, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        shell.run(*words)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("rename", "complaint"),
    [
        ("cat", "--rename: 'cat': expected OLD=NEW, such as 'C#=C sharp'"),
        ("cat=a/b", "--rename: label 'a/b' holds '/'"),
    ],
)
def test_a_wrong_new_label_is_a_wrong_argument(
    rename: str, complaint: str, shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        shell.run("import", "x", "--rename", rename)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_common_options_count_before_and_behind_the_action(shell: Shell, tmp_path: Path) -> None:
    shell.ask("add", "cat", shared_path("images/cat.jpg"))
    ExampleStore(tmp_path / "other.sqlite").close()
    before = ["examples", "--json", "--set", f"store.path={tmp_path / 'other.sqlite'}", "list"]
    assert main(before) == 0
    assert shell._capsys.readouterr().out == ""
    assert main([*before, "--set", f"store.path={shell.store_path}"]) == 0
    assert json.loads(shell._capsys.readouterr().out)["label"] == "cat"


def test_a_label_that_does_not_exist_is_not_renamed_into_another(shell: Shell) -> None:
    shell.run("add", "kitty", shared_path("images/cat.jpg"))
    assert shell.run("rename", "nope", "kitty") == (1, [])
    assert "the store holds no examples of 'nope'" in shell.error


def test_one_example_has_no_plural(shell: Shell, tmp_path: Path) -> None:
    assert shell.run("add", "cat", shared_path("images/cat.jpg"))[1] == [
        "1 example in, 0 known already, 0 left out"
    ]
    assert shell.run("export", tmp_path / "out.zip")[1] == [f"1 example in {tmp_path / 'out.zip'}"]
    assert shell.run("clear", "cat")[1] == ["removed 1 example"]
