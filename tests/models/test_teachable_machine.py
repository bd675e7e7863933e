from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain.errors import ArchiveError, ModelError, OutputError
from edge_daemon.imaging.input_range import parse_range
from edge_daemon.models.class_names import load_class_names
from edge_daemon.models.teachable_machine import add
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness import tiny_models as tiny
from tests.harness.shared_files import shared_path
from tests.harness.small_disk import SmallDisk
from tests.harness.teachable_export import export_zip, exported

RED = np.tile(np.array([255, 0, 0], np.uint8), (20, 20, 1))
BLUE = np.tile(np.array([0, 0, 255], np.uint8), (20, 20, 1))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    return tmp_path / "model_folder"


def test_an_export_is_a_classifier_and_an_embedder_at_once(tmp_path: Path, model_folder: Path) -> None:
    zipped = export_zip(
        tmp_path / "converted_tflite.zip",
        model_unquant__tflite=exported(),
        labels__txt="0 red thing\n1 blue thing\n",
    )
    added = add(zipped, model_folder, "colours")
    assert added.path == model_folder / "colours.tflite"
    assert added.labels == ("red thing", "blue thing")
    assert added.embedding_size == 3
    classifier = TfliteEmbedder(added.path, features="probabilities")
    names = load_class_names(added.path, classifier.size)
    assert names[int(classifier.probabilities(RED).argmax())] == "red thing"
    assert names[int(classifier.probabilities(BLUE).argmax())] == "blue thing"
    assert TfliteEmbedder(added.path).embed(RED) == pytest.approx(
        np.array([1, -1, -1]) / np.sqrt(3), abs=0.01
    )
    assert sorted(path.name for path in model_folder.iterdir()) == [
        "colours.json",
        "colours.labels.txt",
        "colours.tflite",
    ]


def test_names_that_begin_with_numbers_keep_their_classes(tmp_path: Path, model_folder: Path) -> None:
    zipped = export_zip(
        tmp_path / "x.zip", model_unquant__tflite=exported(), labels__txt="0 1 finger\n1 0 fist\n"
    )
    added = add(zipped, model_folder)
    assert load_class_names(added.path, 2) == added.labels == ("1 finger", "0 fist")


def test_a_folder_and_a_lobe_export(tmp_path: Path, model_folder: Path) -> None:
    folder = tmp_path / "lobe"
    folder.mkdir()
    (folder / "saved_model.tflite").write_bytes(exported())
    (folder / "signature.json").write_text(json.dumps({"classes": {"Label": ["ripe", "rotten"]}}))
    assert add(folder, model_folder).labels == ("ripe", "rotten")
    assert (model_folder / "lobe.tflite").exists()


def test_an_export_in_a_folder_of_its_zip(tmp_path: Path, model_folder: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("converted_tflite/model_unquant.tflite", exported())
        archive.writestr("converted_tflite/labels.txt", "0 ripe\n1 rotten\n")
    assert add(tmp_path / "x.zip", model_folder).labels == ("ripe", "rotten")


def test_a_quantised_official_model_has_embedded_labels(model_folder: Path) -> None:
    added = add(shared_path("models/mobilenet_v1_0.25_128_quant.tflite"), model_folder)
    assert len(added.labels) == 1001
    assert added.embedding_size == 256


def test_an_embedder_without_classes_can_be_added(model_folder: Path) -> None:
    added = add(
        shared_path("models/mobilenet_v1_1.0_224_quant_embedding_extractor.tflite"), model_folder, "pool"
    )
    assert added.labels == ()
    assert added.embedding_size == 1024


def test_too_few_labels_are_refused_and_nothing_is_kept(tmp_path: Path, model_folder: Path) -> None:
    zipped = export_zip(tmp_path / "x.zip", model__tflite=exported(), labels__txt="0 only\n")
    with pytest.raises(ModelError, match=r"x\.zip: 1 labels for a model of 2 classes"):
        add(zipped, model_folder)
    assert list(model_folder.iterdir()) == []


def test_a_damaged_model_is_named_by_the_exports_name(tmp_path: Path, model_folder: Path) -> None:
    zipped = export_zip(tmp_path / "x.zip", model__tflite=exported()[:300], labels__txt="a\nb\n")
    with pytest.raises(ModelError, match=r"^[^ ]*x\.zip: truncated or damaged") as caught:
        add(zipped, model_folder)
    assert "-adding" not in str(caught.value)
    assert list(model_folder.iterdir()) == []


def test_an_edge_tpu_export_is_named(tmp_path: Path, model_folder: Path) -> None:
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 224, 224, 3), tiny.TYPE.UINT8, scale=1 / 128, zero_point=128)
    result = recipe.tensor((1, 2), tiny.TYPE.UINT8, scale=1 / 256)
    recipe.step(tiny.BUILTIN.CUSTOM, [picture], result, custom="edgetpu-custom-op")
    zipped = export_zip(tmp_path / "x.zip", model_edgetpu__tflite=recipe.content([picture], [result]))
    with pytest.raises(ModelError, match="compiled for the Edge TPU"):
        add(zipped, model_folder)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model__json", r"TensorFlow\.js export; add its model\.json"),
        ("keras_model__h5", "Keras export"),
        ("readme__txt", "no model"),
    ],
)
def test_other_exports_are_named(tmp_path: Path, model_folder: Path, name: str, words: str) -> None:
    with pytest.raises(ArchiveError, match=words):
        add(export_zip(tmp_path / "x.zip", **{name: b"{}"}), model_folder)


def test_macos_metadata_files_are_no_second_model(tmp_path: Path, model_folder: Path) -> None:
    path = export_zip(tmp_path / "x.zip", model__tflite=exported(), labels__txt="a\nb\n")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/._model.tflite", b"of a Mac")
    assert add(path, model_folder).labels == ("a", "b")


def test_a_model_is_recognised_by_its_content(tmp_path: Path, model_folder: Path) -> None:
    (tmp_path / "model.bin").write_bytes(exported())
    assert add(tmp_path / "model.bin", model_folder, "mine").path == model_folder / "mine.tflite"


def test_a_project_is_named(tmp_path: Path, model_folder: Path) -> None:
    with pytest.raises(ArchiveError, match="a Teachable Machine project; `edge-daemon examples import`"):
        add(export_zip(tmp_path / "x.tm", **{"a-!-0__jpg": b"", "manifest__json": b"{}"}), model_folder)


def test_two_models_in_one_archive_are_refused(tmp_path: Path, model_folder: Path) -> None:
    zipped = export_zip(tmp_path / "x.zip", a__tflite=b"", b__tflite=b"")
    with pytest.raises(ArchiveError, match=r"holds 2 models \(a\.tflite, b\.tflite\)"):
        add(zipped, model_folder)


def test_what_macos_adds_to_an_archive_is_no_second_model(tmp_path: Path, model_folder: Path) -> None:
    zipped = tmp_path / "x.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("model.tflite", exported())
        archive.writestr("__MACOSX/._model.tflite", b"\0\5\x16\7")
    assert add(zipped, model_folder).embedding_size == 3


def test_another_model_of_that_name_is_not_overwritten(tmp_path: Path, model_folder: Path) -> None:
    first = tmp_path / "first.tflite"
    first.write_bytes(exported())
    add(first, model_folder, "mine")
    add(first, model_folder, "mine")
    second = tmp_path / "second.tflite"
    second.write_bytes(exported(layers=1))
    with pytest.raises(ModelError, match="is another model; choose a name with --name"):
        add(second, model_folder, "mine")
    assert (model_folder / "mine.tflite").read_bytes() == exported()


def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, model_folder: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(exported())
    for name in ("../x", "a/b", "-x", " "):
        with pytest.raises(ModelError, match="can't name a model"):
            add(path, model_folder, name)


def darknet() -> bytes:
    """Build a convolution to two classes and their global pool, without a softmax."""
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 16, 16, 3))
    classes = tiny.convolution(recipe, picture, np.array([[9, 0, 0], [0, 0, 9]], np.float32))
    pool = tiny.mean_over_picture(recipe, classes, recipe.tensor((1, 1, 1, 2)))
    return recipe.content([picture], [pool])


def test_a_graph_that_ends_in_a_pool_gets_its_labels_from_a_file(tmp_path: Path, model_folder: Path) -> None:
    model, labels = tmp_path / "darknet.tflite", tmp_path / "names"
    model.write_bytes(darknet())
    labels.write_text("red\nblue\n")
    added = add(model, model_folder, labels=labels)
    classifier = TfliteEmbedder(added.path, features="probabilities")
    names = load_class_names(added.path, classifier.size)
    assert names == ("red", "blue")
    assert names[int(classifier.probabilities(BLUE).argmax())] == "blue"


def test_a_label_file_of_another_length_is_named(tmp_path: Path, model_folder: Path) -> None:
    model, labels = tmp_path / "m.tflite", tmp_path / "names"
    model.write_bytes(exported())
    labels.write_text("one\n")
    with pytest.raises(ModelError, match=rf"^{labels}: 1 labels for a model of 2 classes"):
        add(model, model_folder, labels=labels)
    with pytest.raises(ModelError, match="can't be read"):
        add(model, model_folder, labels=tmp_path / "absent")


def test_labels_beside_a_single_file_are_added_with_it(tmp_path: Path, model_folder: Path) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(exported())
    (tmp_path / "labels.txt").write_text("red\nblue\n")
    assert add(model, model_folder).labels == ("red", "blue")
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    with pytest.raises(
        ModelError, match=r"3 labels for a model of 2 classes; name the right file with --labels"
    ):
        add(model, model_folder, "other")


def test_labels_beside_an_embedder_are_not_its_own(tmp_path: Path, model_folder: Path) -> None:
    source = shared_path("models/mobilenet_v1_1.0_224_quant_embedding_extractor.tflite")
    model = tmp_path / "m.tflite"
    model.write_bytes(source.read_bytes())
    (tmp_path / "labels.txt").write_text("red\nblue\n")
    assert add(model, model_folder).labels == ()
    with pytest.raises(ModelError, match=r"labels\.txt: has labels, but the model is an embedder"):
        add(model, model_folder, labels=tmp_path / "labels.txt")


def test_a_given_range_is_stored_with_the_model(tmp_path: Path, model_folder: Path) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(exported())
    added = add(model, model_folder, values=parse_range("0..255"))
    assert added.input_range.startswith("0..255")
    assert str(TfliteEmbedder(added.path).input_range) == "0..255, from its manifest m.json"
    assert add(model, model_folder).input_range == "-1..1, from a trial on pictures"
    assert str(TfliteEmbedder(added.path).input_range) == "-1..1, from its manifest m.json"


def test_a_declared_range_is_stored_with_the_model(tmp_path: Path, model_folder: Path) -> None:
    zipped = export_zip(
        tmp_path / "lobe.zip",
        saved_model__tflite=exported(),
        signature__json=json.dumps({"classes": {"Label": ["a", "b"]}, "filename": "saved_model.tflite"}),
    )
    assert add(zipped, model_folder).input_range == "0..1, from the signature of its Lobe export"
    assert (
        str(TfliteEmbedder(model_folder / "lobe.tflite").input_range) == "0..1, from its manifest lobe.json"
    )
    beside = tmp_path / "single.tflite"
    beside.write_bytes(exported())
    beside.with_suffix(".json").write_text('{"input": {"mean": 0, "std": 1}}')
    assert add(beside, model_folder).input_range == "0..255, from its manifest single.json"


def test_a_model_without_an_embedding_is_not_kept(tmp_path: Path, model_folder: Path) -> None:
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 16, 16, 3))
    result = tiny.softmax(recipe, picture, recipe.tensor((1, 16, 16, 3)))
    model = tmp_path / "map.tflite"
    model.write_bytes(recipe.content([picture], [result]))
    with pytest.raises(ModelError, match=rf"^{model}: found no pool or classifier layer"):
        add(model, model_folder)
    assert list(model_folder.iterdir()) == []


def test_a_model_is_tried_as_it_is_configured(tmp_path: Path, model_folder: Path) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(exported())
    with pytest.raises(ModelError, match=r"delegate /absent\.so can't be loaded"):
        add(model, model_folder, delegate="/absent.so")


def test_a_suffix_is_no_part_of_the_name(tmp_path: Path, model_folder: Path) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(exported())
    assert add(model, model_folder, "mine.tflite").path == model_folder / "mine.tflite"


def test_a_full_disk_for_temporary_files_is_named_and_not_the_model_folder(
    tmp_path: Path, model_folder: Path, small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(exported())
    monkeypatch.setenv("TMPDIR", str(small_disk.folder))
    small_disk.fill()
    with pytest.raises(ModelError, match=rf"^{small_disk.folder}/.*: can't be written: No space left"):
        add(model, model_folder)
    small_disk.remount("ro")
    with pytest.raises(OutputError, match=rf"^{small_disk.folder}: can't be written: Read-only.*TMPDIR"):
        add(model, model_folder)


def test_a_folder_that_can_not_be_written_is_named_before_the_model_is_tried(
    tmp_path: Path, small_disk: SmallDisk
) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(exported()[:2000])
    small_disk.remount("ro")
    with pytest.raises(ModelError, match=f"^{small_disk.folder}: can't be written: Read-only"):
        add(model, small_disk.folder)
