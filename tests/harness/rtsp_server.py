"""GStreamer's RTSP server with a picture in one colour, as a separate process of Debian's Python."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

USER, PASSWORD = "us@er", "p:w/#%é"

_SERVER = """
import sys
import gi
for name in ("Gst", "GstRtsp", "GstRtspServer"):
    gi.require_version(name, "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer as rtsp
colour, size, method, user, password, port = sys.argv[1:]
Gst.init(None)
server = rtsp.RTSPServer(service=port, address="127.0.0.1")
factory = rtsp.RTSPMediaFactory(shared=True)
width, height = size.split("x")
factory.set_launch(
    f"( videotestsrc is-live=true pattern=solid-color foreground-color={colour} "
    f"! video/x-raw,width={width},height={height},framerate=15/1 "
    "! x264enc tune=zerolatency key-int-max=5 speed-preset=ultrafast ! rtph264pay name=pay0 pt=96 )"
)
if method != "open":
    auth, token, permissions = rtsp.RTSPAuth(), rtsp.RTSPToken(), rtsp.RTSPPermissions()
    token.set_string("media.factory.role", "user")
    if method == "basic":
        auth.add_basic(rtsp.RTSPAuth.make_basic(user, password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    server.set_auth(auth)
    permissions.add_role("user")
    for name in ("access", "construct"):
        permissions.add_permission_for_role("user", f"media.factory.{name}", True)
    factory.set_permissions(permissions)
server.get_mount_points().add_factory("/stream", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


@contextmanager
def rtsp_server(
    colour: int = 0xFF0000, size: str = "320x240", method: str = "open", port: int = 0
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve H.264 at `/stream`; yield the process and the address. `method` is open, basic or digest."""
    command = ["/usr/bin/python3", "-c", _SERVER, str(0xFF << 24 | colour), size, method, USER, PASSWORD]
    process = subprocess.Popen([*command, str(port)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        found = process.stdout.readline().strip()
        assert found, "no RTSP server: apt-get install the packages of GStreamer that scripts/test names"
        yield process, f"rtsp://127.0.0.1:{found}"
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
