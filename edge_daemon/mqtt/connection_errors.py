"""Why there is no connection to a broker, and what to do about it, each in one line."""

from __future__ import annotations

_CONNACK = 0x20
_TLS_ALERT = 0x15
_EXPECTS_TLS = "if that port expects TLS (often 8883), set mqtt.tls.enabled: true"
_NO_TLS = "if that port is the one without TLS (often 1883), set mqtt.tls.enabled: false"
_CERTIFICATE = "where the broker asks for a certificate, set mqtt.tls.cert_file and mqtt.tls.key_file"


def explain_no_connection(address: str, exc: Exception, encrypted: bool) -> str:
    """Explain an exception of the socket or of the TLS handshake."""
    text = f"can't reach the MQTT broker at {address}: {_reason(exc)}"
    return f"{text}; {_NO_TLS}" if encrypted and _is_no_tls(exc) else text


def explain_silence(address: str, waited_s: float, encrypted: bool) -> str:
    """Explain a connection at which nothing is answered."""
    text = f"no MQTT broker answers at {address} within {waited_s:g} s"
    return text if encrypted else f"{text}; {_EXPECTS_TLS}"


def explain_no_answer(address: str, first_byte: int | None, error: OSError | None, encrypted: bool) -> str:
    """Explain a connection that ended before the broker's answer; `error` is that of the last read."""
    if first_byte == _TLS_ALERT and not encrypted:
        return f"the port at {address} expects TLS; set mqtt.tls.enabled: true"
    if first_byte not in (None, _CONNACK):
        return f"what answers at {address} is no MQTT broker; check mqtt.host and mqtt.port"
    text = f"the MQTT broker at {address} hung up without an answer"
    if not encrypted:
        return f"{text}; {_EXPECTS_TLS}"
    return f"{text}{'' if error is None else f': {_reason(error)}'}; {_CERTIFICATE}"


def _is_no_tls(exc: Exception) -> bool:
    """Return whether a handshake failed as it does at a port without TLS."""
    import ssl

    if isinstance(exc, ssl.SSLCertVerificationError):
        return False
    return isinstance(exc, ssl.SSLError | ConnectionResetError | BrokenPipeError)


def _reason(exc: Exception) -> str:
    if (complaint := getattr(exc, "verify_message", None)) is not None:  # of an SSLCertVerificationError
        return f"its certificate is not accepted: {complaint}"
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    return str(exc) or type(exc).__name__
