"""Video decoding in a child process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge_daemon.camera import decoder_process
from edge_daemon.camera.replay import ReplaySource
from edge_daemon.camera.video_decoder import VideoDecoder
from edge_daemon.config.camera import ReplayOptions
from edge_daemon.daemon.capture import Capture
from edge_daemon.daemon.mailbox import Mailbox
from edge_daemon.domain.errors import CameraError
from edge_daemon.system.backoff import Backoff
from edge_daemon.system.testing import ManualClock
from tests.harness.video_clips import (
    CLIP_COLOURS,
    nearest_colour,
    write_clip,
    write_uncompressed_avi,
    write_video,
)


def _count(video_decoder: VideoDecoder) -> int:
    count = 0
    while video_decoder.read() is not None:
        count += 1
    return count


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_pictures_are_in_order_and_repeated_after_a_rewind(tmp_path: Path) -> None:
    video_decoder = VideoDecoder(write_clip(tmp_path / "clip.avi"))
    for _ in range(2):
        pictures = [video_decoder.read() for _ in CLIP_COLOURS]
        assert tuple(nearest_colour(one[20, 10]) for one in pictures if one is not None) == CLIP_COLOURS
        assert video_decoder.read() is None
        video_decoder.rewind()
    video_decoder.close()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_of_the_decoder_is_named(tmp_path: Path, number: signal.Signals) -> None:
    video_decoder = VideoDecoder(write_video(tmp_path / "long.avi", "MJPG", pictures=2000))
    assert video_decoder.read() is not None
    os.kill(video_decoder._process._child.pid, number)
    with pytest.raises(CameraError, match=rf"long\.avi makes the decoder crash \({number.name}\)"):
        _count(video_decoder)
    with pytest.raises(CameraError, match="crash"):
        video_decoder.rewind()
    video_decoder.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_decoder_ignores_signals_to_the_process_group(tmp_path: Path, number: signal.Signals) -> None:
    video_decoder = VideoDecoder(write_video(tmp_path / "video.avi", "MJPG", pictures=300))
    assert video_decoder.read() is not None
    os.kill(video_decoder._process._child.pid, number)
    assert _count(video_decoder) == 299
    video_decoder.close()


def test_the_decoder_ends_with_its_parent(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.avi", "MJPG", pictures=2000)
    program = (
        "import sys, os\nfrom pathlib import Path\n"
        "from edge_daemon.camera.video_decoder import VideoDecoder\n"
        "decoder = VideoDecoder(Path(sys.argv[1])); decoder.read()\n"
        "print(decoder._process._child.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(video)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    wait = threading.Event()
    for _ in range(200):
        if _ended(int(done.stdout)):
            return
        wait.wait(0.05)
    pytest.fail("the decoder outlived its parent")


def test_closing_ends_the_decoder_in_the_middle_of_a_video(tmp_path: Path) -> None:
    video_decoder = VideoDecoder(write_video(tmp_path / "video.avi", "MJPG", pictures=2000))
    assert video_decoder.read() is not None
    video_decoder.close()
    video_decoder.close()
    assert video_decoder._process._child.returncode == -signal.SIGKILL


def test_no_code_of_the_current_folder_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_clip(tmp_path / "clip.avi")
    for name in ("numpy", "cv2", "edge_daemon", "struct"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'planted')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    video_decoder = VideoDecoder(Path(video.name))
    assert _count(video_decoder) == len(CLIP_COLOURS)
    video_decoder.close()
    assert not (tmp_path / "planted").exists()


def test_memory_corruption_in_the_decoder_ends_only_the_source(tmp_path: Path) -> None:
    video_decoder = VideoDecoder(write_uncompressed_avi(tmp_path / "video.avi"))
    complaint = ""
    try:
        count = _count(video_decoder)
    except CameraError as exc:
        complaint = str(exc)
    video_decoder.close()
    assert "makes the decoder crash (SIG" in complaint if complaint else count == 51


@pytest.mark.parametrize(
    "header", [("P", 4_000_000_000, 4_000_000_000), ("X", 4_000_000_000, 0), ("?", 1, 1)]
)
def test_invalid_data_from_the_decoder_is_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: tuple[str, int, int]
) -> None:
    kind, first, second = header
    program = f"import os, struct; os.write(1, struct.pack('<cdII', {kind.encode()!r}, 0, {first}, {second}))"
    monkeypatch.setattr(decoder_process, "module_command", lambda *words: [sys.executable, "-c", program])
    with pytest.raises(CameraError, match="crash"):
        VideoDecoder(tmp_path / "video.avi").read()


def _crash(source: ReplaySource, number: signal.Signals) -> None:
    os.kill(source._reader._decoder._process._child.pid, number)  # type: ignore[union-attr]


def _read_to_the_end(source: ReplaySource) -> None:
    while source.read() is not None:
        pass


def test_a_video_that_crashed_its_decoder_is_not_decoded_again_until_replaced(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.avi", "MJPG", pictures=2000)
    source = ReplaySource(ReplayOptions(path=str(video)), ManualClock())
    source.open()
    _crash(source, signal.SIGSEGV)
    with pytest.raises(CameraError, match="crash"):
        _read_to_the_end(source)
    source.close()
    with pytest.raises(CameraError, match=r"video\.avi makes the decoder crash"):
        source.open()
    write_video(video, "MJPG")
    source.open()
    _read_to_the_end(source)
    source.close()


def test_after_a_killed_decoder_the_video_starts_over(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.avi", "MJPG", pictures=2000)
    source = ReplaySource(ReplayOptions(path=str(video)), ManualClock())
    mailbox, stop = Mailbox(), threading.Event()
    thread = threading.Thread(target=Capture(source, mailbox, Backoff(0.01, 0.01)).run, args=(stop,))
    thread.start()
    try:
        while mailbox.take_all(10).frame is None:
            pass
        _crash(source, signal.SIGKILL)
        while not (mail := mailbox.take_all(10)).instructions:
            pass
        assert "video.avi: the decoder was killed" in str(mail.instructions[0])
        while mailbox.take_all(10).frame is None:
            pass
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
