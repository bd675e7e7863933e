"""The archive is sent as it is read from the store: nothing of it is held, for however many readers."""

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
from edge_daemon.imaging.image_io import encode_jpeg
from edge_daemon.web.server import MAX_DOWNLOADS
from tests.harness.daemon_harness import wait_until
from tests.harness.web_harness import Site

EXAMPLES = 300
THUMBNAIL_BYTES = 20_000
GET = b"GET /api/archive.zip HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture(scope="module")
def full_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A daemon whose store holds 6 MB."""
    with Site(tmp_path_factory.mktemp("full")) as site:
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


def download(site: Site) -> bytes:
    with site.client() as client:
        client.timeout = httpx.Timeout(300)
        return client.get("/api/archive.zip").raise_for_status().content


def begin(site: Site, stack: ExitStack) -> socket.socket:
    """Ask for the archive and read the head of the answer."""
    channel = stack.enter_context(socket.socket())
    channel.settimeout(30)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    channel.connect(("127.0.0.1", site.port))
    channel.sendall(GET)
    return channel


def test_forty_readers_get_the_whole_and_leave_no_file(
    full_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_daemon.web.routes._DOWNLOAD_WAIT_S", 300.0)  # a busy machine
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))  # does not exist: nothing fits in
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


def test_what_a_reader_does_not_take_is_not_made(full_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    thumbnail = ExampleStore.thumbnail

    def counted(store: ExampleStore, number: int) -> bytes | None:
        made.append(number)
        return thumbnail(store, number)

    monkeypatch.setattr(ExampleStore, "thumbnail", counted)
    with ExitStack() as stack:
        assert b" 200 " in begin(full_site, stack).recv(1000)
        with full_site.client() as client:
            for _ in range(20):
                assert client.get("/api/examples").status_code == 200
        assert len(made) < EXAMPLES // 4
    wait_until(lambda: "yes" if len(download(full_site)) > EXAMPLES else "", lambda: "no download any more")


def test_readers_that_leave_make_room_for_others(full_site: Site) -> None:
    for _ in range(3):
        with ExitStack() as stack:
            for _ in range(2 * MAX_DOWNLOADS):
                begin(full_site, stack)
    assert len(download(full_site)) > EXAMPLES * THUMBNAIL_BYTES


def test_readers_that_do_not_read_make_others_wait_but_not_for_good(
    full_site: Site, monkeypatch: pytest.MonkeyPatch
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
            lambda: "who does not read is never given up",
        )


def test_a_store_that_fails_on_the_way_cuts_the_download_off(
    full_site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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


def test_the_head_alone_reads_no_store(full_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ExampleStore, "thumbnail")
    with full_site.client() as client:
        reply = client.head("/api/archive.zip")
    assert reply.status_code == 200
    assert "examples-" in reply.headers["content-disposition"]
