"""What stands in `mqtt.host`: a name or an address, nothing around it."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>.*)", re.IGNORECASE)
_ENCRYPTED = {"mqtts", "ssl", "tls"}
_PLAIN = {"mqtt", "tcp"}


def check_host(host: str) -> None:
    """Raise ValueError with the way out for a URL, a port, a path or a space in a host."""
    url = _SCHEME.fullmatch(host.strip())
    if url is not None and url["scheme"].lower() not in _ENCRYPTED | _PLAIN:
        raise ValueError(
            f"{url['scheme']}:// is not supported; MQTT over TCP or TLS is, with a host and a port"
        )
    rest = host.strip() if url is None else url["rest"]
    name, port = _split(rest.rpartition("@")[2].split("/")[0])
    if not name:
        raise ValueError("write the broker's name or address, or null to turn MQTT off")
    if re.search(r"[\s\0]", name):
        raise ValueError("a broker's name or address holds no space and no control character")
    if name == host:
        return
    ways = [f"write `host: {name}`"]
    if port:
        ways.append(f"`port: {port}`")
    if url is not None and url["scheme"].lower() in _ENCRYPTED:
        ways.append("`tls: {enabled: true}`" if port else "`port: 8883`, `tls: {enabled: true}`")
    if "@" in rest:
        ways.append("`username`, and `password_file` with the password")
    raise ValueError(f"only the broker's name or address stands here; {', '.join(ways)}")


def _split(text: str) -> tuple[str, str]:
    """Return host and port; a host with several colons is an IPv6 address."""
    if bracketed := re.fullmatch(r"\[([^\]]*)\](?::(\d+))?", text):
        return bracketed[1], bracketed[2] or ""
    name, colon, port = text.partition(":")
    return (text, "") if ":" in port else (name.strip(), port) if colon else (text.strip(), "")
