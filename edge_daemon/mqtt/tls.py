"""What is trusted, and who we are, on an encrypted connection."""

from __future__ import annotations

import ssl

from edge_daemon.errors import BrokerError
from edge_daemon.mqtt.options import TlsOptions


def tls_context(tls: TlsOptions) -> ssl.SSLContext:
    """Build the context of a connection. Raises BrokerError for files that can't be used."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as exc:
        files = ", ".join(name for name in (tls.ca_file, tls.cert_file, tls.key_file) if name)
        raise BrokerError(f"mqtt.tls: can't use {files}: {exc.strerror or exc}") from exc
    # Python 3.13 would refuse the authorities that `openssl req -x509` makes: they name no key usage.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
