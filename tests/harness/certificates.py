"""Certificates made for a test with the openssl command."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.harness.mosquitto import Certificates


def make_certificates(folder: Path, address: str = "IP:127.0.0.1", days: int = 1) -> Certificates:
    """Make an authority and a server certificate for `address` in `folder`; no `days`: expired.

    They have the extensions that Python 3.13 requires (`ssl.VERIFY_X509_STRICT`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    ca, ca_key, key = folder / "ca.crt", folder / "ca.key", folder / "server.key"
    request, cert, extensions = folder / "server.csr", folder / "server.crt", folder / "extensions"
    new_key: list[str | Path] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    authority = ("-days", "1", "-subj", "/CN=test CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    _openssl("req", "-x509", *new_key, "-keyout", ca_key, "-out", ca, *authority)
    _openssl("req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=server")
    extensions.write_text(
        f"subjectAltName={address}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    sign: list[str | Path] = [
        "x509",
        "-req",
        "-in",
        request,
        "-CA",
        ca,
        "-CAkey",
        ca_key,
        "-CAcreateserial",
        "-out",
        cert,
    ]
    _openssl(*sign, "-days", str(days), "-extfile", extensions)
    return Certificates(ca, cert, key)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
