"""`edge-daemon classify` with real models and photos: by the model's own classes, and by taught examples."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_daemon.cli.main import main
from edge_daemon.domain.counted import percent
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import encode_jpeg, read_image
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.shared_files import shared_path
from tests.harness.tflite_interpreter import Interpreter
from tests.harness.video_clips import write_video

SENSIBLE = {
    "bird": {"chickadee", "indigo bunting, indigo finch, indigo bird, Passerina cyanea", "junco, snowbird"},
    "cat": {"Egyptian cat", "tabby, tabby cat", "tiger cat"},
    "hot_dog": {"hotdog, hot dog, red hot"},
    "sunflower": {"daisy", "bee"},
}


@pytest.fixture(autouse=True)
def _models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGE_DAEMON_MODELS", str(shared_path("models")))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def classify(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main(["classify", "--json", *words]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("model", ["mobilenet_v2_1.0_224_quant", "tf2_mobilenet_v2_1.0_224_ptq"])
def test_models_own_classes_name_photos_sensibly(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    photos = [str(shared_path(f"images/{name}.jpg")) for name in SENSIBLE]
    rows = classify(capsys, "--model", model, "--topk", "5", *photos)
    for row, (name, expected) in zip(rows, SENSIBLE.items(), strict=True):
        assert row["label"] in expected, name
        assert row["region"] == "frame"
        assert len(row["ranking"]) == 5
        confidences = [each["confidence"] for each in row["ranking"]]
        assert confidences == sorted(confidences, reverse=True)


def test_ranking_equals_the_bare_interpreters(capsys: pytest.CaptureFixture[str]) -> None:
    name = "mobilenet_v2_1.0_224_quant"
    path, photo = shared_path(f"models/{name}.tflite"), shared_path("images/cat.jpg")
    image = read_image(photo)
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = Image.fromarray(image[top : top + side, left : left + side])
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    pixels = np.asarray(square.resize((224, 224), Image.Resampling.BILINEAR, reducing_gap=2.0))
    interpreter.set_tensor(given["index"], pixels[None])
    interpreter.invoke()
    scale, zero = result["quantization"]
    shares = (interpreter.get_tensor(result["index"])[0].astype(float) - zero) * scale
    labels = shared_path("models/imagenet_labels.txt").read_text().splitlines()
    (row,) = classify(capsys, "--model", name, str(photo))
    assert TfliteEmbedder(path, features="probabilities").size == len(labels)
    for each in row["ranking"]:
        theirs = [share for label, share in zip(labels, shares, strict=True) if label == each["label"]]
        assert each["confidence"] == pytest.approx(sum(theirs), abs=0.005)


def test_taught_examples_name_photos(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store = str(tmp_path / "examples.sqlite")
    model = "model.name=tf2_mobilenet_v2_1.0_224_ptq"
    train = str(shared_path("images/imprinting/train"))
    assert main(["examples", "import", train, "--set", f"store.path={store}", "--set", model]) == 0
    capsys.readouterr()
    for label in ("cat", "dog", "hotdog"):
        photo = str(shared_path(f"images/imprinting/test/{label}/0.jpg"))
        (row,) = classify(capsys, "--store", store, "--set", model, "--set", "classifier.unknown=off", photo)
        assert row["label"] == label
        assert {each["label"] for each in row["ranking"]} == {"cat", "dog", "hotdog"}


def test_a_thing_taught_once_is_not_the_label_of_other_photos_either_while_a_device_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "s.sqlite"
    assert (
        main(["examples", "--set", f"store.path={store}", "add", "cat", str(shared_path("images/cat.jpg"))])
        == 0
    )
    capsys.readouterr()
    photos = [str(shared_path(f"images/{name}.jpg")) for name in ("cat", "bird", "hot_dog", "sunflower")]
    hold = (
        "import sys; from edge_daemon.example_store.store import ExampleStore;"
        "store = ExampleStore(sys.argv[1]); store.acquire_lock(); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(store)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as device:
        assert device.stdout is not None
        device.stdout.readline()
        labels = [row["label"] for row in classify(capsys, "--store", str(store), *photos)]
        device.communicate()
    assert labels == ["cat", "unknown", "unknown", "unknown"]
    assert not caplog.text


def test_the_nearest_example_and_its_runner_up_explain_a_label(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store = ["--set", f"store.path={tmp_path / 's.sqlite'}", "--set", f"model.name={LIGHT}"]
    for label, count in {"cat": 1, "hotdog": 2}.items():
        photos = [str(shared_path(f"images/imprinting/train/{label}/{each}.jpg")) for each in range(count)]
        assert main(["examples", *store, "add", label, *photos]) == 0
    capsys.readouterr()
    same, other = (
        str(shared_path(f"images/imprinting/{each}.jpg")) for each in ("train/hotdog/1", "test/cat/0")
    )
    taught, new = classify(capsys, *store, "--explain", same, other)
    assert [each["label"] for each in taught["nearest"]] == ["hotdog", "cat"]
    assert taught["nearest"][0]["id"] == 3
    assert taught["nearest"][0]["similarity"] == pytest.approx(1, abs=1e-4)
    assert new["nearest"][0]["similarity"] == pytest.approx(new["similarity"])
    assert main(["classify", *store, "--explain", same]) == 0
    line, nearest, runner_up = capsys.readouterr().out.splitlines()
    assert line.startswith(same)
    assert nearest == "    nearest    hotdog\tsimilarity 1.00\texample 3"
    assert runner_up.startswith("    runner-up  cat\tsimilarity 0.")
    (plain,) = classify(capsys, *store, same)
    assert "nearest" not in plain


def test_a_models_own_classes_have_no_nearest_example(capsys: pytest.CaptureFixture[str]) -> None:
    photo = str(shared_path("images/cat.jpg"))
    (row,) = classify(capsys, "--model", LIGHT, "--explain", photo)
    assert row["nearest"] == []


def test_regions_are_named_each(capsys: pytest.CaptureFixture[str]) -> None:
    regions = ["--set", "regions.0={name: left, box: [0, 0, 0.5, 1]}"]
    regions += ["--set", "regions.1={name: right, box: [0.5, 0, 0.5, 1]}"]
    photo = str(shared_path("images/cat.jpg"))
    rows = classify(capsys, "--model", "mobilenet_v1_0.25_128_quant", *regions, photo)
    assert [row["region"] for row in rows] == ["left", "right"]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["missing.jpg", "--model", "mobilenet_v1_0.25_128_quant"], "missing.jpg"),
        (["missing.jpg", "--model", "mobilenet_v1_0.25_128_quan"], "mobilenet_v1_0.25_128_quant"),
        (["x", "--model", "mobilenet_v1_1.0_224_quant_embedding_extractor"], "classes"),
    ],
)
def test_what_cannot_be_named_is_one_line(
    words: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert line.startswith("edge-daemon: ")
    assert part in line


def test_an_empty_store_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    photo = str(shared_path("images/cat.jpg"))
    model = "model.name=mobilenet_v1_0.25_128_quant"
    store = str(tmp_path / "empty.sqlite")
    ExampleStore(store).close()
    assert main(["classify", "--json", "--set", model, "--store", store, photo]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["label"] == "unknown"
    assert f"the store {store} holds no examples" in captured.err


def test_a_store_that_is_not_there_is_not_made(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store = tmp_path / "nowhere" / "empty.sqlite"
    assert main(["classify", "--store", str(store), str(shared_path("images/cat.jpg"))]) == 1
    assert f"store '{store}' does not exist" in capsys.readouterr().err
    assert not store.parent.exists()


def test_examples_of_another_model_are_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store = ["--set", f"store.path={tmp_path / 's.sqlite'}"]
    photo = str(shared_path("images/cat.jpg"))
    taught = ["--set", "model.name=mobilenet_v1_0.25_128_quant"]
    assert main(["examples", *store, *taught, "add", "cat", photo]) == 0
    capsys.readouterr()
    assert main(["classify", *store, "--set", "model.name=mobilenet_v1_0.5_160_quant", photo]) == 0
    captured = capsys.readouterr()
    assert "holds 1 example of another model" in captured.err
    assert "reembed" in captured.err
    assert captured.out.split("\t")[:2] == [photo, "unknown"], "the whole frame needs no name"


def test_regions_read_as_one_text_are_joined(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ExampleStore(tmp_path / "s.sqlite").close()
    store = ["--set", f"store.path={tmp_path / 's.sqlite'}"]
    regions = [{"name": "left", "box": [0, 0, 0.5, 1]}, {"name": "right", "box": [0.5, 0, 0.5, 1]}]
    settings = ["--set", f"regions={json.dumps(regions)}", "--set", "combine_regions=text"]
    settings += ["--set", "model.name=mobilenet_v1_0.25_128_quant"]
    rows = classify(capsys, *store, *settings, str(shared_path("images/cat.jpg")))
    assert [row["region"] for row in rows] == ["left", "right", "frame"]
    assert rows[-1]["label"] == "??"


LIGHT = "mobilenet_v1_0.25_128_quant"


def test_a_models_own_classes_have_their_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    photo = str(shared_path("images/cat.jpg"))
    labels = shared_path("models/imagenet_labels.txt").read_text().splitlines()
    (row,) = classify(capsys, "--model", LIGHT, photo)
    for each in (row, *row["ranking"]):
        assert labels[each["class_id"]] == each["label"]
    assert main(["classify", "--model", LIGHT, "--topk", "2", photo]) == 0
    line, *ranking = capsys.readouterr().out.splitlines()
    assert line.split("\t") == [photo, row["label"], percent(row["confidence"]), f"class {row['class_id']}"]
    assert [text.split(maxsplit=3)[2] for text in ranking] == [str(e["class_id"]) for e in row["ranking"][:2]]


def test_a_rejected_picture_has_no_number_and_taught_labels_have_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    photo = str(shared_path("images/cat.jpg"))
    settings = ["--set", "classifier.type=pretrained", "--set", "classifier.unknown=0.999"]
    (row,) = classify(capsys, "--set", f"model.name={LIGHT}", *settings, photo)
    assert (row["label"], row["class_id"]) == ("unknown", None)
    assert main(["classify", "--set", f"model.name={LIGHT}", *settings, photo]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{photo}\tunknown"
    store = ["--set", f"store.path={tmp_path / 's.sqlite'}", "--set", f"model.name={LIGHT}"]
    assert main(["examples", *store, "add", "cat", photo]) == 0
    capsys.readouterr()
    (row,) = classify(capsys, *store, photo)
    assert "class_id" not in row
    assert row["label"] == "cat"


def test_a_film_gives_a_line_each_s_seconds_with_its_time(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    film = write_video(tmp_path / "film.mp4", "mp4v", 25)  # 10 frames a second
    rows = classify(capsys, "--model", LIGHT, "--every", "0.5", str(film), str(shared_path("images/cat.jpg")))
    assert [row.get("time") for row in rows] == [0.0, 0.5, 1.0, 1.5, 2.0, None]
    assert {row["image"] for row in rows[:-1]} == {str(film)}
    assert "time" not in rows[-1]
    assert main(["classify", "--model", LIGHT, str(film)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert [line.split("\t")[1] for line in lines] == ["0.0 s", "1.0 s", "2.0 s"]


def test_a_file_that_is_neither_picture_nor_film_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no pixels here")
    assert main(["classify", "--model", LIGHT, str(tmp_path / "notes.txt")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("notes.txt is neither a picture nor a video that this program can decode")


def test_a_motion_jpeg_is_a_film_though_it_begins_like_a_photo(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    film = tmp_path / "film.mjpg"  # as `rpicam-vid --codec mjpeg` writes it
    film.write_bytes(b"".join(encode_jpeg(np.full((120, 160, 3), 20 * each, np.uint8)) for each in range(9)))
    rows = classify(capsys, "--model", LIGHT, "--every", "0.1", str(film))
    assert len(rows) > 1
    assert [row["time"] for row in rows] == sorted({row["time"] for row in rows})


def test_a_file_that_can_not_be_read_is_named_and_the_others_are_used(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cat = str(shared_path("images/cat.jpg"))
    (tmp_path / "cut.jpg").write_bytes(Path(cat).read_bytes()[:2000])
    (tmp_path / "notes.txt").write_text("no pixels here")
    bad = [str(tmp_path / name) for name in ("cut.jpg", "notes.txt", "absent.jpg")]
    assert main(["classify", "--json", "--model", LIGHT, *bad, cat]) == 1
    captured = capsys.readouterr()
    assert [json.loads(line)["image"] for line in captured.out.splitlines()] == [cat]
    assert [each in line for each, line in zip(bad, captured.err.splitlines(), strict=True)] == [True] * 3


def test_a_picture_without_an_embedding_is_unknown_as_on_a_device(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "black.png")
    rows = classify(capsys, "--set", "model.features=patch", str(tmp_path / "black.png"))
    assert [row["label"] for row in rows] == ["unknown"]


@pytest.mark.parametrize("every", ["0", "-1", "nan", "inf", "often"])
def test_an_interval_that_is_no_time_is_a_usage_error(every: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["classify", "film.mp4", f"--every={every}"])
    assert ended.value.code == 2
    assert f"--every: '{every}' is no time in seconds above 0" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "-1", "1.5", "many"])
def test_a_number_of_labels_that_is_none_is_a_usage_error(
    count: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["classify", "photo.jpg", f"--topk={count}"])
    assert ended.value.code == 2
    assert f"--topk: '{count}' is no whole number of at least 1" in capsys.readouterr().err
