"""Network cameras: real RTSP of GStreamer, and HTTP of a server that misbehaves."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_daemon.camera.stream import StreamSource, shown_url
from edge_daemon.camera.stream_decoder import LagMeter, LatestPicture
from edge_daemon.config.camera import StreamOptions
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.types import Frame
from edge_daemon.system.clock import SystemClock
from tests.harness import rtsp_server as rtsp
from tests.harness.http_camera import CHALLENGES, PASSWORD, USER, HttpCamera, http_camera, jpeg
from tests.harness.rtsp_server import rtsp_server

Open = Callable[..., StreamSource]


@pytest.fixture
def camera() -> Iterator[HttpCamera]:
    with http_camera(HttpCamera()) as running:
        yield running


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Open sources of these options; a password is written to a file."""
    sources: list[StreamSource] = []

    def open_source(url: str, password: str | None = None, **options: object) -> StreamSource:
        if password is not None:
            (tmp_path / "password").write_text(password + "\n", "utf-8")
            options = {"password_file": str(tmp_path / "password"), **options}
        settings = StreamOptions(url=url, **options)  # type: ignore[arg-type]
        sources.append(StreamSource(settings, SystemClock(), environ={}))
        sources[-1].open()
        return sources[-1]

    yield open_source
    for source in sources:
        source.close()


def _colour(frame: Frame) -> str:
    red, green, blue = (int(level) for level in frame.image[10, 10])
    return "red" if red > 200 > 60 > max(green, blue) else "blue" if blue > 200 > 60 > red else "other"


def _fault(source: StreamSource, reads: int = 1) -> str:
    try:
        for _ in range(reads):
            source.read()
    except CameraError as exc:
        return str(exc)
    pytest.fail(f"{reads} pictures came")


# RTSP


@pytest.mark.parametrize("method", ["open", "basic", "digest"])
def test_rtsp_delivers_the_picture_with_and_without_a_password(opened: Open, method: str) -> None:
    with rtsp_server(0xFF0000, "320x240", method) as (_, address):
        credentials = {} if method == "open" else {"username": rtsp.USER, "password": rtsp.PASSWORD}
        source = opened(f"{address}/stream", **credentials)
        frames = [source.read() for _ in range(5)]
    assert {_colour(frame) for frame in frames} == {"red"}
    assert {frame.image.shape for frame in frames} == {(240, 320, 3)}
    assert [frame.seq for frame in frames] == list(range(5))
    times = [frame.captured_s for frame in frames]
    assert times == sorted(set(times))


def test_a_slow_reader_of_rtsp_gets_the_present_picture(opened: Open) -> None:
    with rtsp_server() as (_, address):
        source = opened(f"{address}/stream")
        source.read()
        time.sleep(1.0)
        asked_s = time.monotonic()
        assert source.read().captured_s >= asked_s


@pytest.mark.parametrize(
    ("path", "credentials", "fault"),
    [
        ("/nothing", {"username": rtsp.USER, "password": rtsp.PASSWORD}, r"\(404\)"),
        ("/stream", {}, r"asks for a password \(401\); set camera.username and camera.password_file"),
        (
            "/stream",
            {"username": rtsp.USER, "password": "wrong"},
            r"refuses the user name or password \(401\)",
        ),
    ],
)
def test_refusals_of_rtsp_are_named_without_the_password(
    opened: Open, path: str, credentials: dict[str, str], fault: str
) -> None:
    with rtsp_server(method="digest") as (_, address):
        text = _fault(opened(address + path, **credentials))
    assert text.startswith(address + path)
    assert re.search(fault, text)
    assert "wrong" not in text


def test_rtsp_that_is_refused_or_not_rtsp_is_named(opened: Open, camera: HttpCamera) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert f"127.0.0.1:{port}/x refuses the connection" in _fault(opened(f"rtsp://127.0.0.1:{port}/x"))
    fault = _fault(opened(camera.address.replace("http", "rtsp") + "/page"))
    assert "sends no RTSP stream that this program can decode" in fault or "answers with status" in fault
    assert "no host has this name" in _fault(opened("rtsp://camera.invalid/x"))


def test_rtsp_that_stalls_is_lost_and_comes_back_by_opening(opened: Open) -> None:
    with rtsp_server() as (process, address):
        source = opened(f"{address}/stream")
        source.read()
        os.kill(process.pid, signal.SIGSTOP)
        assert "sent no picture for 4.5 s" in _fault(source, reads=200)
        source.close()
        os.kill(process.pid, signal.SIGCONT)
        source.open()
        assert _colour(source.read()) == "red"


def test_rtsp_that_ends_is_lost(opened: Open) -> None:
    with rtsp_server() as (process, address):
        source = opened(f"{address}/stream")
        source.read()
        process.kill()
        assert "stopped sending, or ended the stream" in _fault(source, reads=200)


def test_a_crash_of_the_decoder_is_a_lost_camera(opened: Open) -> None:
    with rtsp_server() as (_, address):
        source = opened(f"{address}/stream")
        source.read()
        assert source._process is not None
        os.kill(source._process._child.pid, signal.SIGSEGV)
        assert "makes the decoder crash (SIGSEGV); choose another stream" in _fault(source)
        source.close()
        source.open()
        assert _colour(source.read()) == "red"


def test_credentials_are_in_neither_the_arguments_nor_the_environment_of_the_decoder(opened: Open) -> None:
    with rtsp_server(method="basic") as (_, address):
        source = opened(f"{address}/stream", username=rtsp.USER, password=rtsp.PASSWORD)
        source.read()
        assert source._process is not None
        process = Path(f"/proc/{source._process._child.pid}")
        for name in ("cmdline", "environ"):
            assert rtsp.PASSWORD.encode() not in (process / name).read_bytes()


# HTTP


@pytest.mark.parametrize("kind", ["plain", "unsized", "dashed", "chunked", "damaged"])
def test_mjpeg_delivers_whole_pictures(opened: Open, camera: HttpCamera, kind: str) -> None:
    camera.pictures = [jpeg("red"), jpeg("blue")] if kind == "damaged" else [jpeg("red")]
    source = opened(f"{camera.address}/mjpeg/{kind}", fps=100)
    assert {_colour(source.read()) for _ in range(6)} == {"red"}
    assert len(camera.requests) == 1


def test_a_slow_reader_of_mjpeg_gets_the_present_picture(opened: Open, camera: HttpCamera) -> None:
    source = opened(f"{camera.address}/mjpeg/plain")
    assert _colour(source.read()) == "red"
    camera.pictures = [jpeg("blue")]
    time.sleep(0.5)  # the server sends 25 pictures meanwhile
    source.read()  # of the time before the request, at most one picture old
    asked_s = time.monotonic()
    frame = source.read()
    assert _colour(frame) == "blue"
    assert frame.captured_s >= asked_s - 0.5


def test_a_single_picture_is_fetched_again_and_again(opened: Open, camera: HttpCamera) -> None:
    source = opened(f"{camera.address}/moved", every_s=0.1, fps=100)
    before_s = time.monotonic()
    first = source.read()
    camera.pictures = [jpeg("blue")]
    frames = [source.read() for _ in range(3)]
    assert _colour(first) == "red"
    assert _colour(frames[-1]) == "blue"
    assert frames[-1].captured_s - first.captured_s >= 0.29
    assert [path for path, _ in camera.requests[:2]] == ["/moved", "/picture"]
    assert before_s - 1 <= first.captured_s <= time.monotonic()


def test_a_picture_whose_answer_names_no_type_is_used(opened: Open, camera: HttpCamera) -> None:
    """As small microcontroller cameras send it; Python takes it for text then."""
    assert opened(f"{camera.address}/untyped").read().image.shape == (48, 64, 3)


@pytest.mark.parametrize("guard", ["basic", "digest"])
@pytest.mark.parametrize("path", ["mjpeg/plain", "picture"])
def test_http_asks_for_a_password(opened: Open, camera: HttpCamera, guard: str, path: str) -> None:
    url = f"{camera.address}/{guard}/{path}"
    assert _colour(opened(url, username=USER, password=PASSWORD).read()) == "red"
    assert "refuses the user name or password (401)" in _fault(opened(url, username=USER, password="wrong"))
    assert "asks for a password (401)" in _fault(opened(url))


def test_a_password_may_stand_in_the_query_and_is_not_shown(opened: Open, camera: HttpCamera) -> None:
    url = f"{camera.address}/picture?user={{username}}&pw={{password}}"
    opened(url, username="a b", password="c&d").read()
    assert camera.requests[0][0] == "/picture?user=a%20b&pw=c%26d"
    fault = _fault(opened(url.replace("picture", "404"), username="a b", password="c&d"))
    assert fault.startswith(f"{camera.address}/404?… has no stream")


@pytest.mark.parametrize("number", range(len(CHALLENGES)))
def test_a_faulty_challenge_is_named(opened: Open, camera: HttpCamera, number: int) -> None:
    url = f"{camera.address}/challenge/{number}"
    text = _fault(opened(url, username=USER, password=PASSWORD))
    assert text.startswith(url)
    assert re.search(r"asks for a password in an unknown way|refuses the user name or password \(401\)", text)


def test_credentials_are_not_sent_to_another_host(opened: Open, camera: HttpCamera) -> None:
    with http_camera(HttpCamera()) as other:
        camera.away = f"{other.address}/basic/picture"
        assert "refuses" in _fault(opened(f"{camera.address}/away", username=USER, password=PASSWORD))
        assert [given for _, given in other.requests] == [None]


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("404", r"has no stream at this path \(404\); check camera\.url"),
        ("403", r"refuses the user name or password \(403\)"),
        ("503", "answers with status 503"),
        ("loop", "redirects without end or to another protocol"),
        ("away", "the request failed|redirects without end or to another protocol"),
        ("page", "sends text/html, no pictures"),
        ("bytes", "is not an image this program reads"),
        ("strange", r"asks for a password \(401\)"),
        ("garbage", "does not answer as HTTP does"),
        ("heads", "does not answer as HTTP does"),
        ("endless", "sends more than 16 MB for one picture"),
        ("silent", "does not answer within 5 s"),
        ("mjpeg/huge", "sends a picture of more than 16 MB"),
        ("mjpeg/headless", "sends a picture or a head without end"),
        ("mjpeg/unbounded", "without a boundary"),
        ("mjpeg/ends", "ended the stream"),
        ("mjpeg/stalls", "sent no picture for 4.5 s|does not answer within 5 s"),
        ("cut", "is damaged"),
    ],
)
def test_what_fails_over_http_is_named(opened: Open, camera: HttpCamera, path: str, fault: str) -> None:
    text = _fault(opened(f"{camera.address}/{path}", every_s=3), reads=5)
    assert f"{camera.address}/{path}" in text
    assert re.search(fault, text)


def test_http_that_is_refused_or_asks_in_an_unknown_way_is_named(opened: Open, camera: HttpCamera) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert "refuses the connection" in _fault(opened(f"http://127.0.0.1:{port}/x"))
    fault = _fault(opened(f"{camera.address}/strange", username=USER, password=PASSWORD))
    assert "asks for a password in an unknown way" in fault


def test_a_changed_size_is_a_lost_camera_and_the_new_one_is_used_after_opening(
    opened: Open, camera: HttpCamera
) -> None:
    source = opened(f"{camera.address}/mjpeg/plain")
    source.read()
    camera.pictures = [jpeg("red", (80, 60))]
    assert "changed the size of its picture to 80x60" in _fault(source, reads=50)
    source.close()
    source.open()
    assert source.read().image.shape == (60, 80, 3)


def test_pictures_are_scaled_and_rotated_but_never_distorted(opened: Open, camera: HttpCamera) -> None:
    camera.pictures = [jpeg("red", (160, 120))]
    url = f"{camera.address}/mjpeg/plain"
    assert opened(url, size=(60, 80), rotation=90).read().image.shape == (80, 60, 3)
    fault = _fault(opened(url, size=(80, 80)))
    assert "sends 160x120, which camera.size would distort; leave it out, or write [80, 60]" in fault


def test_a_password_that_cannot_be_read_is_named(camera: HttpCamera) -> None:
    options = StreamOptions(url=f"{camera.address}/picture", username="a", password_file="/none")
    with pytest.raises(CameraError, match=r"camera\.password_file: can't read the password from /none"):
        StreamSource(options, SystemClock(), environ={}).open()


def test_a_url_is_shown_without_its_query_and_credentials() -> None:
    assert shown_url("http://a:b@host:81/x/y?password=z") == "http://host:81/x/y?…"
    assert shown_url("rtsp://host/x") == "rtsp://host/x"


# Parts


def test_a_stream_that_is_decoded_too_slowly_lags_and_a_drifting_clock_does_not() -> None:
    steady, slow, timeless = LagMeter(), LagMeter(), LagMeter()
    steps = range(1, 3600)
    assert max(steady.update(100 + step, 7 + step * 0.9995) for step in steps) < 0.1
    assert slow.update(100, 7) == 0
    assert slow.update(110, 14) == pytest.approx(2.99)
    assert max(timeless.update(100 + step, 0.0) for step in steps) == 0


def test_the_slot_keeps_the_latest_picture_and_gives_it_once() -> None:
    latest = LatestPicture()
    latest.put(b"first", 1.0)
    latest.put(b"second", 2.0)
    latest.fail(CameraError("ended"))
    assert latest.pop(0) == (2.0, b"second")
    with pytest.raises(CameraError, match="ended"):
        latest.pop(0)
