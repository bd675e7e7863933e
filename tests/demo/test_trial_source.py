"""The picture of `edge-daemon try`: choice of the camera, pictures that stay in view, the drawn tray."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_daemon.camera.factory import CameraOptions, open_camera
from edge_daemon.camera.replay import ReplaySource
from edge_daemon.config.camera import ReplayOptions, V4l2Options
from edge_daemon.demo.camera_choice import choose_camera, find_cameras
from edge_daemon.demo.shown_pictures import FPS, SHOWN_S, HeldPictures
from edge_daemon.demo.trial_source import choose_source
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.interfaces import Clock, FrameSource
from edge_daemon.system.clock import SystemClock
from edge_daemon.system.pip_hint import pip_install
from edge_daemon.system.testing import ManualClock


def add_device(root: Path, number: int, bus: str, index: int = 0) -> None:
    """Add a device as the kernel does: a link from the class folder to the folder of the device."""
    device = root / f"devices/{bus}/video4linux/video{number}"
    device.mkdir(parents=True)
    (device / "index").write_text(f"{index}\n")
    (root / "class").mkdir(exist_ok=True)
    (root / f"class/video{number}").symlink_to(device)


def test_usb_and_virtual_cameras_are_found_in_order_without_their_other_devices(tmp_path: Path) -> None:
    add_device(tmp_path, 10, "pci0000:00/usb1/1-2")
    add_device(tmp_path, 2, "pci0000:00/usb1/1-1")
    add_device(tmp_path, 3, "pci0000:00/usb1/1-1", index=1)
    add_device(tmp_path, 4, "virtual")
    add_device(tmp_path, 5, "platform/soc/codec")
    devices = [each.device for each in find_cameras(tmp_path / "class") if isinstance(each, V4l2Options)]
    assert devices == ["/dev/video2", "/dev/video4", "/dev/video10"]


def test_the_first_camera_with_a_frame_is_chosen_and_the_others_reasons_are_kept(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "picture.png")

    def open_source(options: CameraOptions, clock: Clock) -> FrameSource:
        if isinstance(options, V4l2Options) and options.device == "/dev/video93":
            return ReplaySource(ReplayOptions(str(tmp_path)), clock)
        return open_camera(options, clock)

    cameras = [V4l2Options(device=f"/dev/video{number}") for number in (91, 92, 93, 94)]
    choice = choose_camera(cameras, SystemClock(), open_source)
    assert choice.options == cameras[2]
    assert [fault.split(";")[0] for fault in choice.faults] == [
        "no camera at /dev/video91",
        "no camera at /dev/video92",
    ]


def test_a_camera_without_opencv_is_named_with_the_command_that_adds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge_daemon.demo.camera_choice.find_spec", lambda name: None)
    choice = choose_camera([V4l2Options(device="/dev/video0")], SystemClock())
    assert choice.options is None
    assert choice.faults == (f"/dev/video0 needs OpenCV; run {pip_install('usb')}",)


def test_no_working_camera_leads_to_no_choice() -> None:
    choice = choose_camera([V4l2Options(device="/dev/video91")], SystemClock())
    assert choice.options is None
    assert len(choice.faults) == 1


def test_each_picture_stays_in_view_and_its_frames_are_numbered_on(tmp_path: Path) -> None:
    for number, name in enumerate("ab"):
        Image.new("RGB", (8, 8), (200 * number, 0, 0)).save(tmp_path / f"{name}.png")
    clock = ManualClock()
    pictures = ReplaySource(ReplayOptions(str(tmp_path), loop=True), clock)
    source = HeldPictures(pictures, clock, sleep=clock.sleep)
    source.open()
    held = int(SHOWN_S * FPS)
    frames = [source.read() for _ in range(3 * held)]
    source.close()
    assert all(frame is not None for frame in frames)
    shown = [(frame.seq, int(frame.image[0, 0, 0]), frame.captured_s) for frame in frames if frame]
    assert [seq for seq, _, _ in shown] == list(range(3 * held))
    assert [red for _, red, _ in shown] == [0] * held + [200] * held + [0] * held
    np.testing.assert_allclose(np.diff([at for _, _, at in shown]), 1 / FPS)


def test_a_folder_without_pictures_is_refused_because_no_page_would_open(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / ".hidden" / "1.png")
    with pytest.raises(CameraError, match=f"{tmp_path} holds no pictures"):
        choose_source(tmp_path, SystemClock(), simulated=False)


def test_a_folder_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="gone"):
        choose_source(tmp_path / "gone", SystemClock(), simulated=False)
