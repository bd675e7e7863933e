"""The programs of docs/python.md, each run as a user runs it, with the model that ships."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_daemon.cli.main import main
from edge_daemon.example_store.store import ExampleStore
from tests.harness.digit_pictures import draw_folders

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "docs/recipes"
MODEL = ROOT / "models/edge_embedder_v1.tflite"


def run(name: str, *arguments: Path) -> list[str]:
    """Run a recipe and return its lines."""
    command = [sys.executable, str(RECIPES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Folders of the digits 0 to 9 with three pictures each."""
    return draw_folders(tmp_path / "digits", 3)


@pytest.fixture
def config(tmp_path: Path, digits: Path) -> Path:
    """A configuration whose store holds the digits."""
    path = tmp_path / "config.yaml"
    path.write_text(
        f"model: {{name: {MODEL}}}\nstore: {{path: {tmp_path / 'examples.sqlite'}}}\nclassifier: {{k: 1}}\n"
    )
    assert main(["examples", "--config", str(path), "import", str(digits)]) == 0
    return path


def test_a_picture_is_named_by_the_examples_of_a_folder(digits: Path) -> None:
    [line] = run("name_picture.py", MODEL, digits, digits / "7" / "1.png")
    assert line == "7, similarity 1.00"


def test_other_files_in_a_folder_of_pictures_are_left_out(digits: Path) -> None:
    for name in (".DS_Store", "._1.png", "Thumbs.db", "notes.txt"):
        (digits / "7" / name).write_bytes(b"\0\1")
    [line] = run("name_picture.py", MODEL, digits, digits / "7" / "1.png")
    assert line == "7, similarity 1.00"


def test_pictures_are_classified_with_the_examples_of_a_store(config: Path, digits: Path) -> None:
    pictures = [digits / "0" / "0.png", digits / "8" / "2.png"]
    counts, *lines = run("classify_with_store.py", MODEL, config.with_name("examples.sqlite"), *pictures)
    assert counts == f"examples: {dict.fromkeys('0123456789', 3)}"
    assert lines == [f"{pictures[0]} 0", f"{pictures[1]} 8"]


def test_pictures_are_copied_into_the_folder_of_their_label(
    config: Path, digits: Path, tmp_path: Path
) -> None:
    pictures = {}
    for label in "147":
        pictures[label] = (digits / label / "0.png").rename(digits / f"{label}.png")
    run("sort_pictures.py", config, MODEL, tmp_path / "sorted", *pictures.values())
    copies = sorted((tmp_path / "sorted").glob("*/*"))
    assert copies == [tmp_path / "sorted" / label / f"{label}.png" for label in pictures]
    assert [path.read_bytes() for path in copies] == [path.read_bytes() for path in pictures.values()]


def test_a_configuration_without_a_store_path_is_refused_in_one_line(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("")
    command = [sys.executable, str(RECIPES / "sort_pictures.py"), str(config), str(MODEL), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "the configuration has no store.path\n")


@pytest.mark.parametrize("exists", [False, True])
def test_a_store_without_examples_is_named_in_one_line(tmp_path: Path, exists: bool) -> None:
    config, store = tmp_path / "config.yaml", tmp_path / "examples.sqlite"
    config.write_text(f"store: {{path: {store}}}\n")
    if exists:
        ExampleStore(store).close()
    for words in (["classify_with_store.py", MODEL, store], ["sort_pictures.py", config, MODEL, tmp_path]):
        command = [sys.executable, str(RECIPES / str(words[0])), *map(str, words[1:])]
        done = subprocess.run(command, capture_output=True, text=True)
        wanted = f"{store} has no examples of edge_embedder_v1" if exists else f"there is no store {store}"
        assert done.returncode == 1
        [line] = done.stderr.splitlines()
        assert line.startswith(wanted)
    assert store.exists() == exists


def test_a_folder_without_label_folders_is_named_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(RECIPES / "name_picture.py"), str(MODEL), str(tmp_path), "picture.jpg"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"{tmp_path} has no pictures in label folders\n")


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.py")), ids=lambda path: path.stem)
def test_the_page_shows_every_program_as_it_is(path: Path) -> None:
    text = path.read_text()
    assert f"```python\n{text}```" in (ROOT / "docs/python.md").read_text()
    assert len(text.splitlines()) <= 27
