"""What is trusted, and who we are, on an encrypted connection."""

from __future__ import annotations

import ssl
from pathlib import Path

from edge_daemon.errors import BrokerError
from edge_daemon.mqtt.options import TlsOptions
from edge_daemon.regular_file import require_regular


def tls_context(tls: TlsOptions) -> ssl.SSLContext:
    """Build the context of a connection. Raises BrokerError for files that can't be used."""
    try:
        for name in (tls.ca_file, tls.cert_file, tls.key_file):
            if name is not None:
                require_regular(Path(name))
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file, _no_passphrase)
    except (OSError, ValueError) as exc:  # SSLError is an OSError
        files = ", ".join(name for name in (tls.ca_file, tls.cert_file, tls.key_file) if name)
        raise BrokerError(f"mqtt.tls: can't use {files}: {_reason(exc)}") from exc
    # Python 3.13 would refuse the authorities that `openssl req -x509` makes: they name no key usage.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase; store it without one: openssl pkey -in KEY -out NEW")


def _reason(exc: Exception) -> str:
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
