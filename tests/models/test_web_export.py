"""Models from a web address: a real server that stalls, truncates, redirects and answers wrong sizes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.models import web_transfer
from edge_daemon.models.web_export import WebAddress, downloaded_export
from edge_daemon.models.web_file import MAX_TIME_S
from edge_daemon.models.web_transfer import ATTEMPTS
from tests.harness.certificates import make_certificates
from tests.harness.small_disk import SmallDisk
from tests.harness.web_site import WebSite, serving_site

SHARDS = (bytes(range(256)) * 400, bytes(range(200, 256)) * 500)
TOPOLOGY = {"class_name": "Sequential", "config": []}


def model_json(**changes: Any) -> bytes:
    entry = {"name": "d/kernel", "shape": [len(b"".join(SHARDS))], "dtype": "uint8"}
    groups = [{"paths": ["w1.bin", "w2.bin"], "weights": [entry]}]
    return json.dumps({"modelTopology": TOPOLOGY, "weightsManifest": groups, **changes}).encode()


def manifest(paths: list[str], size: int = 100, dtype: str = "uint8") -> bytes:
    entry = {"name": "d/kernel", "shape": [size], "dtype": dtype}
    return model_json(weightsManifest=[{"paths": paths, "weights": [entry]}])


def tfjs_site() -> WebSite:
    files = {"model.json": model_json(), "w1.bin": SHARDS[0], "w2.bin": SHARDS[1]}
    return WebSite({**files, "metadata.json": b'{"labels": ["cat", "dog"]}'})


@pytest.fixture
def site() -> Iterator[WebSite]:
    with serving_site(tfjs_site()) as site:
        yield site


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(web_transfer, "TIMEOUT_S", 0.3)


def fetch(site: WebSite, folder: Path, name: str = "model.json") -> dict[str, bytes]:
    """Download and return the files that the private folder held."""
    pauses: list[float] = []
    address = WebAddress.parse(f"{site.address}/{name}")
    with downloaded_export(address, folder, pause=pauses.append) as path:
        assert path.name == address.name
        return {each.name: each.read_bytes() for each in path.parent.iterdir()}


def kept(folder: Path) -> list[str]:
    """Return the names of the files in the model folder, without the digests of their versions."""
    return sorted(
        ".".join(part for part in path.name.split(".") if len(part) != 12)
        for path in folder.rglob("*")
        if path.is_file()
    )


WHOLE = {
    "model.json": model_json(),
    "w1.bin": SHARDS[0],
    "w2.bin": SHARDS[1],
    "metadata.json": b'{"labels": ["cat", "dog"]}',
}


@pytest.mark.parametrize("name", ["model.json", "", "model.json?tfjs-format=file"])
def test_a_tensorflow_js_model_is_downloaded_with_shards_and_labels(
    site: WebSite, tmp_path: Path, name: str
) -> None:
    assert fetch(site, tmp_path, name) == WHOLE
    assert site.asked() == ["model.json", "w1.bin", "w2.bin", "metadata.json"]
    assert all(path.endswith("?tfjs-format=file") == ("?" in name) for path, _ in site.requests)
    assert list(tmp_path.iterdir()) == [], "nothing stays in the model folder"


def test_without_metadata_a_label_file_is_taken(site: WebSite, tmp_path: Path) -> None:
    del site.files["metadata.json"]
    site.files["class_names.txt"] = b"cat\ndog\n"
    site.behaviours["metadata.json"] = ["403"]  # of a storage service
    assert fetch(site, tmp_path)["class_names.txt"] == b"cat\ndog\n"
    site.behaviours = {"metadata.json": ["page"], "class_names.txt": ["page"]}  # one page for every path
    assert sorted(fetch(site, tmp_path)) == ["model.json", "w1.bin", "w2.bin"]


def test_a_tflite_file_comes_with_its_labels_and_range(tmp_path: Path) -> None:
    site = WebSite({"birds.tflite": b"1234TFL3", "birds.labels.txt": b"a\n", "labels.txt": b"other\n"})
    site.files["birds.json"] = b"{}"
    with serving_site(site):
        assert fetch(site, tmp_path, "birds.tflite") == {
            "birds.tflite": b"1234TFL3",
            "birds.labels.txt": b"a\n",
            "birds.json": b"{}",
        }
    assert WebAddress.parse("https://h/a/birds.tflite?x=1").model_name == "birds"
    assert WebAddress.parse("https://h/models/bXy2/").model_name == "bXy2"
    assert WebAddress.parse("https://h/models/../").model_name == "model", "no folder above"
    assert WebAddress.parse("https://h/a%2f..%2fmodel one/model.json").model_name == "model_one"


def test_https_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = make_certificates(tmp_path / "tls")
    with serving_site(tfjs_site(), certificates) as site:
        with pytest.raises(ModelError, match="certificate verify failed"):
            fetch(site, tmp_path / "models")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
        assert fetch(site, tmp_path / "models") == WHOLE


def test_from_https_no_redirect_to_http_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = make_certificates(tmp_path / "tls")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    with serving_site(tfjs_site()) as plain, serving_site(tfjs_site(), certificates) as secure:
        secure.behaviours["w1.bin"] = [f"to {plain.address}/w1.bin"]
        with pytest.raises(ModelError, match="from https only https is followed"):
            fetch(secure, tmp_path / "models")
        plain.behaviours["w1.bin"] = [f"to {secure.address}/w1.bin"]
        assert fetch(plain, tmp_path / "models") == WHOLE, "http to another host's https"
        plain.behaviours["w1.bin"] = ["to ftp://127.0.0.1/w1.bin"]
        with pytest.raises(ModelError, match="from https only https is followed"):
            fetch(plain, tmp_path / "models")


def test_redirects_are_bounded(site: WebSite, tmp_path: Path) -> None:
    site.behaviours["w1.bin"] = [f"to {site.address}/{n}/w1.bin" for n in range(9)]
    with pytest.raises(ModelError, match="redirects in a circle or more than 5 times"):
        fetch(site, tmp_path)
    assert site.asked().count("w1.bin") == 6
    assert kept(tmp_path) == []


def test_a_transfer_that_breaks_off_is_resumed(site: WebSite, tmp_path: Path) -> None:
    site.behaviours["w1.bin"] = ["drop 50000", "drop 0", "drop 20000", "drop 0"]
    assert fetch(site, tmp_path) == WHOLE
    ranges = [asked for path, asked in site.requests if path.endswith("w1.bin") and asked]
    assert ranges == ["bytes=50000-", "bytes=70000-"]


def test_a_server_that_stalls_is_tried_again_and_another_run_resumes(site: WebSite, tmp_path: Path) -> None:
    site.behaviours["w2.bin"] = ["stall 9000", *["stall 0"] * (2 * ATTEMPTS)]
    with pytest.raises(ModelError, match=r"w2\.bin: .*timed out; got 9000 bytes\. Run the command again"):
        fetch(site, tmp_path)
    assert kept(tmp_path) == ["model.json", "w1.bin", "w2.bin.part"]
    site.behaviours, site.requests = {}, []
    assert fetch(site, tmp_path) == WHOLE
    assert [asked for path, asked in site.requests if asked] == ["bytes=9000-"]
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_is_resumed_only_with_the_same_version(site: WebSite, tmp_path: Path) -> None:
    def interrupt(name: str, done: int, total: int) -> None:
        if name == "w2.bin":
            raise KeyboardInterrupt

    address = WebAddress.parse(f"{site.address}/model.json")
    with pytest.raises(KeyboardInterrupt), downloaded_export(address, tmp_path, interrupt):
        pass
    assert kept(tmp_path) == ["model.json", "w1.bin", "w2.bin.part"]
    site.files["w1.bin"] = bytes(len(SHARDS[0]))  # trained again in between
    site.files["w2.bin"] = bytes(len(SHARDS[1]))
    found = fetch(site, tmp_path)
    assert (found["w1.bin"], found["w2.bin"]) == (bytes(len(SHARDS[0])), bytes(len(SHARDS[1])))


def test_without_a_version_a_file_starts_over(site: WebSite, tmp_path: Path) -> None:
    site.behaviours["w1.bin"] = ["untagged 50000", "untagged"]
    assert fetch(site, tmp_path) == WHOLE
    assert [asked for _, asked in site.requests if asked] == []


def test_without_a_length_the_end_is_the_servers(site: WebSite, tmp_path: Path) -> None:
    site.behaviours = {"model.json": ["chunked"], "w1.bin": ["chunked"]}
    assert fetch(site, tmp_path) == WHOLE


@pytest.mark.parametrize(
    ("files", "part"),
    [
        ({"w2.bin": SHARDS[1][:-1]}, r"have 130400 bytes, the shards of 'w1\.bin' 130399; one is truncated"),
        ({"w2.bin": SHARDS[1] + b"x"}, r"w2\.bin: has 28001 bytes; expected are at most 28000"),
        ({"model.json": manifest(["w1.bin"])}, r"w1\.bin: has 102400 bytes; expected are at most 100"),
        ({"model.json": manifest(["w9.bin"])}, r"w9\.bin: the server answers 404"),
        ({"model.json": manifest([])}, "lists no shards"),
        ({"model.json": manifest(["../w1.bin"])}, r"must be beside model\.json, not at '\.\./w1\.bin'"),
        ({"model.json": manifest(["..\\w1.bin"])}, "must be beside"),
        ({"model.json": manifest(["https://elsewhere/w.bin"])}, "must be beside"),
        ({"model.json": manifest(["/etc/passwd"])}, "must be beside"),
        ({"model.json": manifest(["model.json"])}, "must be beside"),
        ({"model.json": manifest(["w1.bin", "w1.bin"])}, "lists a weight shard twice"),
        ({"model.json": manifest([f"w{n}" for n in range(1025)])}, "lists 1025 weight shards; at most 1024"),
        ({"model.json": manifest(["w1.bin"], 300 << 20)}, "its weights have 300 MiB; at most 256 MiB"),
        ({"model.json": manifest(["w1.bin"], 100, "complex64")}, "has the type complex64; known are float32"),
        ({"model.json": manifest(["w1.bin"], -1)}, r"'d/kernel' has the shape \[-1\]"),
        ({"model.json": b" " * (17 << 20)}, "has 17825792 bytes; expected are at most 16777216"),
        ({"model.json": b"[" * 200_000}, "not JSON"),
        ({"model.json": b'{"a": 1}'}, "no modelTopology"),
        ({"model.json": model_json(modelTopology={"a": 1})}, "no Keras model"),
    ],
)
def test_what_does_not_fit_the_manifest_is_refused(
    site: WebSite, tmp_path: Path, files: dict[str, bytes], part: str
) -> None:
    site.files |= files
    with pytest.raises(ModelError, match=part) as raised:
        fetch(site, tmp_path)
    assert site.address in str(raised.value)
    assert kept(tmp_path) == []


def test_a_manifest_without_a_length_is_read_to_the_limit_only(site: WebSite, tmp_path: Path) -> None:
    site.files["model.json"] = b" " * (17 << 20)
    site.behaviours["model.json"] = ["chunked"]
    with pytest.raises(ModelError, match="has 16777217 bytes; expected are at most"):
        fetch(site, tmp_path)


@pytest.mark.parametrize(
    ("behaviour", "part"),
    [("page", "answers a web page; check for a login"), ("packed", "sends it compressed"), ("401", "401")],
)
def test_answers_that_are_no_model_are_refused(
    site: WebSite, tmp_path: Path, behaviour: str, part: str
) -> None:
    site.behaviours["model.json"] = [behaviour]
    with pytest.raises(ModelError, match=part):
        fetch(site, tmp_path)
    assert site.asked() == ["model.json"]
    assert kept(tmp_path) == []


def test_a_slow_transfer_ends_and_can_be_resumed(site: WebSite, tmp_path: Path) -> None:
    now = iter([0.0, *[1.0] * 3, *[MAX_TIME_S + 1] * 1000])
    address = WebAddress.parse(f"{site.address}/model.json")
    with (
        pytest.raises(ModelError, match="not complete after 60 minutes; run the command again"),
        downloaded_export(address, tmp_path, clock=lambda: next(now)),
    ):
        pass
    assert fetch(site, tmp_path) == WHOLE


def test_two_at_once_do_not_mix(site: WebSite, tmp_path: Path) -> None:
    address = WebAddress.parse(f"{site.address}/model.json")
    with downloaded_export(address, tmp_path) as path:
        with pytest.raises(ModelError, match=r"model\.json\.part is being written by another process"):
            fetch(site, tmp_path)
        assert path.exists(), "the first goes on"
    assert fetch(site, tmp_path) == WHOLE


def test_a_full_disk_is_named_and_left_free(site: WebSite, small_disk: SmallDisk) -> None:
    site.files["w1.bin"] = bytes(5 << 20)
    site.files["model.json"] = manifest(["w1.bin"], 5 << 20)
    with pytest.raises(ModelError, match="can't be written: No space left on device"):
        fetch(site, small_disk.folder)
    assert kept(small_disk.folder) == []


def test_a_read_only_folder_is_named(site: WebSite, small_disk: SmallDisk) -> None:
    small_disk.remount("ro")
    with pytest.raises(ModelError, match=r"disk/\.adding-\w+: can't be written: Read-only file system"):
        fetch(site, small_disk.folder)
    assert site.requests == []


def test_a_failing_copy_is_named(site: WebSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/var/tmp/x")

    monkeypatch.setattr(shutil, "copyfileobj", fail)
    with pytest.raises(ModelError, match=r"/var/tmp/x: can't be written: No space left"):
        fetch(site, tmp_path)
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("https://user:secret@h/model.json", "an address with a password"),
        ("https:///model.json", "give the address of a model.json"),
        ("https://h/net/page.html", "names neither a model.json nor a .tflite file"),
        ("https://h/%2e%2e%2fmodel.json", "give the address"),
        ("https://h:port/model.json", "not an address"),
    ],
)
def test_an_address_that_names_no_model_is_refused(address: str, part: str) -> None:
    with pytest.raises(ModelError, match=part) as raised:
        WebAddress.parse(address)
    assert "secret" not in str(raised.value)


def test_the_part_files_are_locked_while_they_are_written(site: WebSite, tmp_path: Path) -> None:
    """A second process that holds the lock of the folder does not lose its files."""
    address = WebAddress.parse(f"{site.address}/model.json")
    held, done = threading.Event(), threading.Event()

    def hold(name: str, count: int, total: int) -> None:
        if name == "w1.bin":
            held.set()
            assert done.wait(30)

    def first() -> None:
        with downloaded_export(address, tmp_path, hold) as path:
            found.append((path.parent / "w1.bin").read_bytes())

    found: list[bytes] = []
    thread = threading.Thread(target=first)
    thread.start()
    assert held.wait(30)
    with pytest.raises(ModelError, match="being written by another process"):
        fetch(site, tmp_path)
    done.set()
    thread.join()
    assert found == [SHARDS[0]]
