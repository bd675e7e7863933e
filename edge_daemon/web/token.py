"""The token of the page, and the rule for pages that need one."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from edge_daemon.config.web import Address, WebOptions
from edge_daemon.domain.errors import WebError
from edge_daemon.system.secrets import SecretKind, read_secret

log = logging.getLogger(__name__)

WEB_TOKEN = SecretKind("web", "token", "EDGE_DAEMON_WEB_TOKEN", WebError)
MIN_CHARACTERS = 12
TOKEN_SOURCES = f"set web.token_file, web.credential or ${WEB_TOKEN.variable}"


def read_token(options: WebOptions, environ: Mapping[str, str]) -> str | None:
    """Return the token from `token_file`, else the systemd credential, else the environment.

    Raises WebError for a file that can't be read and for a token that is too short.
    """
    secret = read_secret(WEB_TOKEN, options.token_file, options.credential, environ)
    if secret is None:
        return None
    token = secret.text.strip()
    if len(token) < MIN_CHARACTERS:
        raise WebError(
            f"{secret.where}: the token has {len(token)} characters; at least {MIN_CHARACTERS} are needed, "
            "for example from `openssl rand -hex 16`"
        )
    return token


def check_reach(address: Address, token: str | None, hosts: Collection[str] = ()) -> None:
    """Raise WebError for a page that other machines can reach without a token.

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
