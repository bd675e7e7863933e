"""The archive is streamed from the store: none of it is buffered, for any number of readers."""

from __future__ import annotations

import io
import socket
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.archive import import_archive
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import JPEG_START, encode_jpeg
from edge_daemon.web.routes import MAX_DOWNLOADS
from tests.harness.daemon_harness import wait_until
from tests.harness.web_harness import WebHarness

EXAMPLES = 300
THUMBNAIL_BYTES = 20_000
GET = b"GET /api/archive.zip HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture(scope="module")
def full_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebHarness]:
    """A daemon whose store holds 6 MB."""
    with WebHarness(tmp_path_factory.mktemp("full")) as site:
        drawn = np.random.default_rng(1)
        with ExampleStore(site.stage.store_path) as store, store.transaction():
            for number in range(EXAMPLES):
                picture = encode_jpeg(drawn.integers(0, 256, (160, 160, 3), np.uint8), quality=85)
                store.add(
                    drawn.standard_normal(256, np.float32),
                    f"label {number % 3}",
                    space="drawn",
                    thumbnail=picture,
                )
        yield site


def download(site: WebHarness) -> bytes:
    with site.client() as client:
        client.timeout = httpx.Timeout(300)
        return client.get("/api/archive.zip").raise_for_status().content


def begin(site: WebHarness, stack: ExitStack) -> socket.socket:
    """Request the archive without reading the response."""
    channel = stack.enter_context(socket.socket())
    channel.settimeout(30)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    channel.connect(("127.0.0.1", site.port))
    channel.sendall(GET)
    return channel


def test_forty_readers_get_the_whole_archive_and_no_temporary_file_is_made(
    full_site: WebHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_daemon.web.routes._DOWNLOAD_WAIT_S", 300.0)  # a busy machine
    monkeypatch.setattr(
        "tempfile.tempdir", str(tmp_path / "temporary")
    )  # does not exist: a temporary file would fail
    with ThreadPoolExecutor(40) as readers:
        archives = list(readers.map(lambda _: download(full_site), range(40)))
    assert len({len(each) for each in archives}) == 1
    assert zipfile.ZipFile(io.BytesIO(archives[0])).testzip() is None
    (tmp_path / "taught.zip").write_bytes(archives[0])
    with ExampleStore(tmp_path / "other.sqlite") as other, ExampleStore(full_site.stage.store_path) as store:
        assert import_archive(other, tmp_path / "taught.zip").added == EXAMPLES
        for one, same in zip(other, store, strict=True):
            assert (one.label, one.thumbnail) == (same.label, same.thumbnail)
            assert np.array_equal(one.embedding, same.embedding)


def test_pieces_are_made_only_as_they_are_read(
    full_site: WebHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    thumbnail = ExampleStore.thumbnail

    def count_calls(store: ExampleStore, number: int) -> bytes | None:
        made.append(number)
        return thumbnail(store, number)

    monkeypatch.setattr(ExampleStore, "thumbnail", count_calls)
    with ExitStack() as stack:
        assert b" 200 " in begin(full_site, stack).recv(1000)
        with full_site.client() as client:
            for _ in range(20):
                assert client.get("/api/examples").status_code == 200
        assert len(made) < EXAMPLES // 4
    wait_until(
        lambda: "yes" if len(download(full_site)) > EXAMPLES else "", lambda: "no download is possible"
    )


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_disconnected_reader_frees_its_slot(full_site: WebHarness) -> None:
    for _ in range(3):
        with ExitStack() as stack:
            for _ in range(2 * MAX_DOWNLOADS):
                begin(full_site, stack)
    assert len(download(full_site)) > EXAMPLES * THUMBNAIL_BYTES


def test_clients_that_do_not_read_delay_others_but_not_forever(
    full_site: WebHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_daemon.web.routes._DOWNLOAD_WAIT_S", 0.2)
    monkeypatch.setattr("edge_daemon.web.http_timeouts.UNREAD_S", 3.0)
    with ExitStack() as stack, full_site.client() as client:
        held = [begin(full_site, stack) for _ in range(MAX_DOWNLOADS)]
        assert all(b" 200 " in channel.recv(1000) for channel in held)
        reply = client.get("/api/archive.zip")
        assert reply.status_code == 503
        assert "try again" in reply.json()["error"]
        assert client.get("/healthz").status_code == 200
        wait_until(
            lambda: "yes" if client.get("/api/archive.zip").status_code == 200 else "",
            lambda: "a client that does not read keeps its slot",
        )


def test_a_store_failure_cuts_the_download_off(
    full_site: WebHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(store: ExampleStore, number: int) -> bytes | None:
        raise StoreError("store 'x' can't be read: disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(ExampleStore, "thumbnail", fail)
        for _ in range(2 * MAX_DOWNLOADS):
            with pytest.raises(httpx.RemoteProtocolError):
                download(full_site)
    assert "a download of the examples broke off: store 'x' can't be read: disk I/O error" in caplog.text
    assert "Traceback" not in caplog.text
    assert len(download(full_site)) > EXAMPLES * THUMBNAIL_BYTES


def test_a_head_request_reads_no_store(full_site: WebHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ExampleStore, "thumbnail")
    with full_site.client() as client:
        reply = client.head("/api/archive.zip")
    assert reply.status_code == 200
    assert "examples-" in reply.headers["content-disposition"]


def test_a_stop_during_a_download_logs_no_traceback(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack, WebHarness(tmp_path) as site:
        with ExampleStore(site.stage.store_path) as store, store.transaction():
            for number in range(200):
                vector = np.random.default_rng(number).standard_normal(256, np.float32)
                store.add(vector, "cup", space="drawn", thumbnail=JPEG_START + bytes(60_000))
        assert begin(site, stack).recv(1000)
    assert "Traceback" not in caplog.text
