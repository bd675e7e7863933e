from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.models.download import download_model
from edge_daemon.models.registry import Input, Manifest, RemoteFile
from edge_daemon.models.web_transfer import ATTEMPTS
from tests.harness.http_server import Site, serving

CONTENT = bytes(range(256)) * 1200
LABELS = b"cat\ndog\n"


def manifest(address: str, labels: str | None = None) -> Manifest:
    names = RemoteFile(
        file="tiny.labels.txt",
        url=f"{labels}/tiny.labels.txt",
        sha256=hashlib.sha256(LABELS).hexdigest(),
        bytes=len(LABELS),
    )
    return Manifest(
        name="tiny",
        file="tiny.tflite",
        url=f"{address}/tiny.tflite",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        bytes=len(CONTENT),
        licence="none",
        input=Input(width=8, height=8, channels=3, dtype="uint8"),
        embedding_size=3,
        labels=names if labels else None,
    )


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site(CONTENT)) as site:
        yield site


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def fetch(site: Site, folder: Path, source: str | None = None) -> Path:
    pauses: list[float] = []
    return download_model(manifest(site.address), folder, source, pause=pauses.append)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_model_is_downloaded_verified_and_put_in_place(site: Site, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    path = download_model(manifest(site.address), tmp_path / "new", progress=lambda *step: steps.append(step))
    assert path.read_bytes() == CONTENT
    assert files(tmp_path / "new") == ["tiny.tflite"]
    assert steps[-1] == ("tiny.tflite", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)


def test_a_dropped_transfer_is_resumed(site: Site, tmp_path: Path) -> None:
    site.behaviours = ["drop 100000", "drop 50000", "serve"]
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in site.requests] == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_run_resumes_an_earlier_part_file(site: Site, tmp_path: Path) -> None:
    site.behaviours = ["drop 70000", *["503"] * ATTEMPTS]
    with pytest.raises(ModelError, match=r"503.*got 70000 of 307200 bytes.*again to resume"):
        fetch(site, tmp_path)
    assert files(tmp_path) == ["tiny.tflite.part"]
    site.behaviours, site.requests = ["serve"], []
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert site.requests == [("/files/tiny.tflite", "bytes=70000-")]
    assert files(tmp_path) == ["tiny.tflite"]


def test_without_range_support_the_download_starts_over(site: Site, tmp_path: Path) -> None:
    site.behaviours = ["drop 1000", "whole"]
    assert fetch(site, tmp_path).read_bytes() == CONTENT


def test_a_wrong_range_is_not_appended(site: Site, tmp_path: Path) -> None:
    site.behaviours = ["drop 1000", "stale range", "serve"]
    with pytest.raises(ModelError):
        fetch(site, tmp_path)
    assert files(tmp_path) == []
    assert fetch(site, tmp_path).read_bytes() == CONTENT


def test_a_wrong_content_length_is_detected(site: Site, tmp_path: Path) -> None:
    site.behaviours = ["short 4096", "long 999"]
    assert fetch(site, tmp_path).read_bytes() == CONTENT


def test_wrong_bytes_are_discarded(site: Site, tmp_path: Path) -> None:
    site.behaviours = ["other"]
    with pytest.raises(ModelError, match=r"is another file \(SHA-256 .*nothing was kept"):
        fetch(site, tmp_path)
    assert files(tmp_path) == []


def test_a_file_that_is_too_long_is_not_read_to_its_end(site: Site, tmp_path: Path) -> None:
    site.behaviours = ["extra 5000000"]
    with pytest.raises(ModelError, match="has 307201 bytes instead of 307200"):
        fetch(site, tmp_path)
    assert files(tmp_path) == []


def test_a_stale_part_of_another_version_is_replaced(site: Site, tmp_path: Path) -> None:
    (tmp_path / "tiny.tflite.part").write_bytes(b"old" * 1000)
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in site.requests] == ["bytes=3000-", None]


def test_a_part_longer_than_the_file_is_replaced(site: Site, tmp_path: Path) -> None:
    (tmp_path / "tiny.tflite.part").write_bytes(bytes(len(CONTENT) + 5))
    assert fetch(site, tmp_path).read_bytes() == CONTENT


def test_an_existing_model_is_not_downloaded_again(site: Site, tmp_path: Path) -> None:
    fetch(site, tmp_path)
    fetch(site, tmp_path)
    assert len(site.requests) == 1


def test_a_damaged_model_is_replaced_only_by_a_verified_one(site: Site, tmp_path: Path) -> None:
    (tmp_path / "tiny.tflite").write_bytes(b"mine")
    site.behaviours = ["404"]
    with pytest.raises(ModelError, match="404"):
        fetch(site, tmp_path)
    assert (tmp_path / "tiny.tflite").read_bytes() == b"mine"
    site.behaviours = ["serve"]
    assert fetch(site, tmp_path).read_bytes() == CONTENT


def test_redirects_are_followed(site: Site, tmp_path: Path) -> None:
    site.behaviours = ["redirect", "serve"]
    assert fetch(site, tmp_path).read_bytes() == CONTENT
    assert [path for path, _ in site.requests] == ["/files/tiny.tflite", "/moved/tiny.tflite"]


@pytest.mark.parametrize("behaviour", ["html", "page"])
def test_a_web_page_instead_of_a_model_is_named(site: Site, tmp_path: Path, behaviour: str) -> None:
    site.behaviours = [behaviour]
    with pytest.raises(ModelError, match="answers a web page, not a model"):
        fetch(site, tmp_path)
    assert len(site.requests) == 1
    site.behaviours = ["serve"]
    assert fetch(site, tmp_path).read_bytes() == CONTENT


def test_a_missing_file_is_refused_at_once(site: Site, tmp_path: Path) -> None:
    site.behaviours = ["404"]
    with pytest.raises(ModelError, match=r"tiny\.tflite: the server answers 404"):
        fetch(site, tmp_path)
    assert len(site.requests) == 1
    assert files(tmp_path) == []


def test_a_busy_server_is_retried_with_growing_pauses(site: Site, tmp_path: Path) -> None:
    site.behaviours = ["503", "503", "serve"]
    pauses: list[float] = []
    download_model(manifest(site.address), tmp_path, pause=pauses.append)
    assert pauses == sorted(pauses)
    assert len(pauses) == 2


def test_an_unreachable_server_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    with serving(Site(CONTENT)) as gone:
        pass
    with pytest.raises(ModelError, match=r"Connection refused.*--from FOLDER"):
        fetch(gone, tmp_path)


def test_from_a_folder(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "tiny.tflite").write_bytes(CONTENT)
    item = manifest("http://nowhere.invalid")
    assert download_model(item, tmp_path / "models", str(stick)).read_bytes() == CONTENT
    (stick / "tiny.tflite").write_bytes(b"wrong")
    with pytest.raises(ModelError, match="has 5 bytes instead of 307200"):
        download_model(item, tmp_path / "other", str(stick))
    with pytest.raises(ModelError, match="can't be copied: No such file"):
        download_model(item, tmp_path / "third", str(tmp_path / "absent"))


@pytest.mark.parametrize("suffix", ["", "/", "/tiny.tflite"])
def test_from_another_address(site: Site, tmp_path: Path, suffix: str) -> None:
    item = manifest("http://nowhere.invalid")
    assert download_model(item, tmp_path, site.address + suffix).read_bytes() == CONTENT
    assert site.requests == [("/files/tiny.tflite", None)]


def test_labels_are_downloaded_too(site: Site, tmp_path: Path) -> None:
    with serving(Site(LABELS)) as labels:
        download_model(manifest(site.address, labels.address), tmp_path)
    assert (tmp_path / "tiny.labels.txt").read_bytes() == LABELS


def test_a_proxy_from_the_environment_is_used(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", site.address.removesuffix("/files"))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    download_model(manifest("http://models.invalid"), tmp_path)
    assert site.requests == [("http://models.invalid/tiny.tflite", None)]


def test_two_pulls_at_once_do_not_mix(site: Site, tmp_path: Path) -> None:
    with (tmp_path / "tiny.tflite.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ModelError, match="being written by another process"):
            fetch(site, tmp_path)


def test_a_model_folder_that_cannot_be_written_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(ModelError, match=r"models/tiny\.tflite: can't be written"):
        fetch(site, tmp_path / "models")
