"""Picture files and archives over HTTP: taught, known, refused; exports and imports fit each other."""

from __future__ import annotations

import io
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from edge_daemon.domain.errors import RequestError
from edge_daemon.example_store.archive import import_archive, write_archive
from edge_daemon.example_store.image_folders import find_pictures
from edge_daemon.example_store.importing import ImportReport
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import encode_jpeg, encode_png
from edge_daemon.system.testing import ManualClock
from edge_daemon.web import archive_upload, routes
from edge_daemon.web.archive_upload import ArchiveUpload
from tests.harness.daemon_harness import wait_until
from tests.harness.small_disk import SmallDisk
from tests.harness.web_harness import WebHarness, still

OCTETS = {"content-type": "application/octet-stream"}


@pytest.fixture
def client(site: WebHarness) -> Iterator[httpx.Client]:
    with site.client() as opened:
        opened.timeout = httpx.Timeout(60)
        yield opened


def send(client: httpx.Client, content: bytes, label: str = "mug", **query: str) -> httpx.Response:
    return client.post("/api/picture", params={"label": label, **query}, content=content, headers=OCTETS)


def bomb(pixels: int) -> bytes:
    """Return a PNG of a few kilobytes that unpacks to a square with sides of `pixels`."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", pixels, pixels, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_picture_becomes_an_example_once(client: httpx.Client, site: WebHarness) -> None:
    photo = encode_jpeg(still("mug"))
    added = send(client, photo, name="cup.jpg", batch="one").json()
    assert (added["label"], added["count"]) == ("mug", 1)
    assert send(client, photo, name="again.jpg").json() == {"duplicate": "mug"}
    with ExampleStore(site.stage.store_path) as store:
        (example,) = store
        assert (example.label, example.source, example.group) == ("mug", "cup.jpg", "")
        assert example.thumbnail.startswith(b"\xff\xd8\xff")


def test_the_pictures_of_one_batch_are_one_change_but_no_burst(
    client: httpx.Client, site: WebHarness
) -> None:
    site.teach("gear")
    for number in range(3):
        send(client, encode_png(still("mug", number)), name=f"{number}.png", batch="b1").raise_for_status()
    undone = client.post("/api/undo", json={}).json()
    assert undone["text"] == "3 examples of 'mug' removed"
    assert client.post("/api/redo", json={"change": undone["change"]}).json()["counts"] == {"mug": 3}


def test_two_who_send_pictures_at_once_are_both_served(client: httpx.Client) -> None:
    pictures = [(label, encode_png(still(label, number))) for number in range(4) for label in ("mug", "key")]
    with ThreadPoolExecutor(8) as senders:
        replies = list(senders.map(lambda each: send(client, each[1], each[0], batch=each[0]), pictures))
    assert [reply.status_code for reply in replies] == [200] * 8
    assert client.post("/api/undo", json={}).json()["text"][:13] == "4 examples of"
    assert client.post("/api/undo", json={}).json()["text"][:13] == "4 examples of"


@pytest.mark.parametrize(
    ("content", "label", "words"),
    [
        (b"", "mug", "x is not an image"),
        (b"%PDF-1.7", "mug", "x is not an image this program reads"),
        (b"\xff\xd8\xff\xe0 damaged", "mug", "x is"),
        (bomb(6000), "mug", "x has more than 25 megapixels; scale it down"),
        (b"\0\0\0\x0cJXL more", "mug", "x is a JPEG XL picture"),
        (encode_jpeg(still("mug")), "a/b", "'a/b'"),
        (encode_jpeg(still("mug")), "", "label"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(
    client: httpx.Client, content: bytes, label: str, words: str
) -> None:
    reply = send(client, content, label, name="x")
    assert (reply.status_code, words in reply.json()["error"]) == (400, True), reply.text


def test_a_body_above_the_limit_and_another_kind_are_refused(client: httpx.Client) -> None:
    assert send(client, bytes((16 << 20) + 1)).status_code == 413
    as_json = client.post("/api/picture", params={"label": "mug"}, json={})
    assert as_json.status_code == 415


def test_the_zip_of_pictures_is_a_folder_that_can_be_imported(
    client: httpx.Client, site: WebHarness, tmp_path: Path
) -> None:
    site.teach("gear")
    send(client, encode_jpeg(still("mug")), "a mug").raise_for_status()
    reply = client.get("/api/pictures.zip").raise_for_status()
    assert "pictures-" in reply.headers["content-disposition"]
    zipfile.ZipFile(io.BytesIO(reply.content)).extractall(tmp_path)
    assert [picture.label for picture in find_pictures(tmp_path)] == ["a mug", "gear"]


def send_archive(client: httpx.Client, content: bytes, piece: int, name: str = "my.zip") -> httpx.Response:
    for offset in range(0, len(content), piece):
        query: dict[str, str | int] = {"upload": "u", "offset": offset}
        part = content[offset : offset + piece]
        client.post("/api/archive", params=query, content=part, headers=OCTETS).raise_for_status()
    return client.post("/api/archive", params={"upload": "u", "name": name}, headers=OCTETS)


def test_an_archive_is_imported_in_pieces_and_taken_back_at_once(
    client: httpx.Client, site: WebHarness
) -> None:
    site.teach("gear")
    send(client, encode_jpeg(still("mug")), "gear").raise_for_status()
    archive = client.get("/api/archive.zip").content
    site.clear()
    report = send_archive(client, archive, 4096).json()
    assert report == {"added": 2, "duplicates": 0, "problems": []}
    assert client.post("/api/undo", json={}).json()["text"] == "2 examples of 'gear' removed"
    client.post("/api/redo", json={}).raise_for_status()
    assert send_archive(client, archive, 1 << 20).json()["duplicates"] == 2


def test_a_piece_whose_reply_was_lost_is_sent_again(client: httpx.Client, site: WebHarness) -> None:
    site.teach("gear")
    archive = client.get("/api/archive.zip").content
    site.clear()
    half = len(archive) // 2
    for offset, end in ((0, half), (0, half), (half, len(archive)), (half, len(archive))):
        query: dict[str, str | int] = {"upload": "u", "offset": offset}
        reply = client.post("/api/archive", params=query, content=archive[offset:end], headers=OCTETS)
        assert reply.json() == {"bytes": end}
    finished = client.post("/api/archive", params={"upload": "u", "name": "my.zip"}, headers=OCTETS)
    assert finished.json()["added"] == 1


def test_a_damaged_or_foreign_archive_is_refused_by_its_name(client: httpx.Client, site: WebHarness) -> None:
    site.teach("gear")
    archive = client.get("/api/archive.zip").content
    for content in (archive[: len(archive) // 2], b"no zip at all", np.random.default_rng(1).bytes(50_000)):
        reply = send_archive(client, content, 8192, "holiday.zip")
        assert reply.status_code == 400
        assert "archive 'holiday.zip'" in reply.json()["error"]


def test_an_archive_of_another_model_is_taken_with_a_note(
    client: httpx.Client, site: WebHarness, tmp_path: Path
) -> None:
    with ExampleStore(tmp_path / "other.sqlite") as other:
        other.add(np.array([1.0, 0.0], np.float32), "cat", space="another")
        write_archive(other, tmp_path / "other.zip")
    reply = send_archive(client, (tmp_path / "other.zip").read_bytes(), 8192, "other.zip").json()
    assert reply["added"] == 1
    [note] = reply["problems"]
    assert note.startswith(
        "1 example of another model, which this device does not use; `edge-daemon examples reembed`"
    )


def test_pieces_come_in_order_and_from_one_sender_at_a_time(tmp_path: Path) -> None:
    clock = ManualClock()
    upload = ArchiveUpload(tmp_path / "examples.sqlite", "model", clock.monotonic)
    assert upload.write("one", 0, b"x" * 10) == {"bytes": 10}
    with pytest.raises(RequestError, match="a piece is missing before byte 30"):
        upload.write("one", 30, b"x")
    with pytest.raises(RequestError, match="another archive is being sent"):
        upload.write("two", 0, b"x")
    with pytest.raises(RequestError, match="no longer kept"):
        upload.finish("two", "b.zip")
    assert upload.write("one", 10, b"x") == {"bytes": 11}
    clock.advance(11)
    assert upload.write("two", 0, b"y") == {"bytes": 1}, "the phone of the first sleeps"
    with pytest.raises(RequestError, match="no longer kept"):
        upload.write("one", 11, b"x")
    upload.close()
    assert list(tmp_path.iterdir()) == []


def test_an_upload_that_is_left_occupies_no_disk(
    client: httpx.Client, site: WebHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept() -> list[str]:
        links = [each.readlink() for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
        return [
            str(each) for each in links if each.parent == site.settings_file.parent and "deleted" in each.name
        ]

    monkeypatch.setattr(routes, "KEPT_S", 0.3)
    monkeypatch.setattr(archive_upload, "KEPT_S", 0.3)
    query: dict[str, str | int] = {"upload": "left", "offset": 0}
    client.post("/api/archive", params=query, content=b"x", headers=OCTETS).raise_for_status()
    assert len(kept()) == 1
    wait_until(lambda: "gone" if not kept() else "", lambda: f"still open: {kept()}")


def test_a_long_import_does_not_delay_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun, ended = threading.Event(), threading.Event()

    def import_slowly(store: ExampleStore, path: Path) -> ImportReport:
        begun.set()
        ended.wait(10)
        return import_archive(store, path)

    monkeypatch.setattr(archive_upload, "import_archive", import_slowly)
    with WebHarness(tmp_path) as site, ThreadPoolExecutor(1) as sender:
        site.teach("gear")
        with site.client() as client:
            archive = client.get("/api/archive.zip").content
        sender.submit(lambda: send_archive(site.client(), archive, 1 << 20))
        assert begun.wait(10)
        begun_s = time.monotonic()
        site.stage.__exit__(None, None, None)
        took_s = time.monotonic() - begun_s
        ended.set()
    assert took_s < 5, "a second is left to requests that run"
    assert "ERROR" not in {each.levelname for each in caplog.records}


def test_an_archive_on_a_full_disk_is_refused(small_disk: SmallDisk) -> None:
    upload = ArchiveUpload(small_disk.folder / "examples.sqlite", "model", ManualClock().monotonic)
    upload.write("one", 0, b"x")
    small_disk.fill()
    with pytest.raises(RequestError, match="can't be kept on the device: No space left"):
        upload.write("one", 1, bytes(1 << 20))
