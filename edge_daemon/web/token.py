"""Where the page's token comes from: never the configuration itself."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from edge_daemon.config.web import Address, WebOptions
from edge_daemon.domain.errors import WebError
from edge_daemon.system.regular_file import read_regular, without_bom

log = logging.getLogger(__name__)

VARIABLE = "EDGE_DAEMON_WEB_TOKEN"
LEAST_CHARACTERS = 12
TOKEN_SOURCES = f"set web.token_file, web.credential or ${VARIABLE}"
MAX_BYTES = 4096


def read_token(options: WebOptions, environ: Mapping[str, str]) -> str | None:
    """Return the token from `token_file`, else the systemd credential, else the environment.

    Raises WebError for a file that can't be read and a token that is too short to be one.
    """
    if options.token_file is not None:
        return _checked("web.token_file", _read("web.token_file", Path(options.token_file)))
    if options.credential is not None:
        folder = environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            raise WebError(
                f"web.credential '{options.credential}': $CREDENTIALS_DIRECTORY is not set; "
                "add LoadCredential= to the unit, or use web.token_file"
            )
        return _checked("web.credential", _read("web.credential", Path(folder) / options.credential))
    given = environ.get(VARIABLE)
    return None if given is None else _checked(f"${VARIABLE}", given)


def check_reach(address: Address, token: str | None, hosts: Collection[str] = ()) -> None:
    """Raise WebError when others could reach the page and no token keeps them out.

    `hosts` on the loopback means a reverse proxy. Without a token that is a warning: the page then
    refuses every request, and the rest of the daemon works.
    """
    if token is not None:
        return
    if not address.loopback:
        raise WebError(
            f"web.listen {address.ip} can be reached from other machines; give the page a token: "
            f"{TOKEN_SOURCES}, or listen on 127.0.0.1"
        )
    if hosts:
        log.warning(
            "web.hosts '%s' means that a proxy serves the page to other machines; it answers nobody until it "
            "has a token: %s",
            next(iter(hosts)),
            TOKEN_SOURCES,
        )


def _read(key: str, path: Path) -> str:
    try:
        return without_bom(read_regular(path, MAX_BYTES)).decode()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8"
        raise WebError(f"{key}: can't read the token from {path}: {reason}") from exc


def _checked(key: str, text: str) -> str:
    token = text.strip()
    if len(token) < LEAST_CHARACTERS:
        raise WebError(
            f"{key}: the token has {len(token)} characters; at least {LEAST_CHARACTERS}, "
            "for example from `openssl rand -hex 16`"
        )
    return token
