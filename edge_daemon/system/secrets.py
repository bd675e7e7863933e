"""Secrets from a file, a systemd credential or an environment variable; the configuration never holds one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct

from edge_daemon.domain.errors import EdgeError
from edge_daemon.system.regular_file import read_regular, without_bom

CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
"""Variable with the folder of a service's credentials, set by systemd (systemd.exec(5))."""


class SecretKind(Struct, frozen=True):
    """One kind of secret: its keys in the configuration, its variable, and the error for an unusable one.

    The keys are `<section>.<name>_file` and `<section>.credential`.
    """

    section: str
    name: str
    variable: str
    error: type[EdgeError]
    max_bytes: int = 4096


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as written, with its source: a key of the configuration, or `$VARIABLE`."""

    text: str = field(repr=False)
    source: str
    path: Path | None = None

    @property
    def where(self) -> str:
        """The source, and the file if there is one, for messages."""
        return self.source if self.path is None else f"{self.source} {self.path}"


def read_secret(
    kind: SecretKind, file: str | None, credential: str | None, environ: Mapping[str, str]
) -> Secret | None:
    """Return the secret of `file`, else of `credential`, else of the variable; None without any of them.

    `file` and `credential` are the values in the configuration. A file is UTF-8, or UTF-16 with a byte-order
    mark; a byte-order mark is removed. Raises the kind's error for a source that can't be read, is not
    UTF-8 or is too long.
    """
    file_key = f"{kind.section}.{kind.name}_file"
    if file is not None:
        return _read(kind, file_key, Path(file))
    if credential is not None:
        key = f"{kind.section}.credential"
        folder = environ.get(CREDENTIALS_DIRECTORY)
        if folder is None:
            raise kind.error(
                f"{key} '{credential}': ${CREDENTIALS_DIRECTORY} is not set; "
                f"add LoadCredential= to the unit, or use {file_key}"
            )
        return _read(kind, key, Path(folder) / credential)
    text = environ.get(kind.variable)
    return None if text is None else _checked(kind, Secret(text, f"${kind.variable}"))


def _checked(kind: SecretKind, secret: Secret) -> Secret:
    """Return a secret of at most `max_bytes` in UTF-8. A variable's other bytes are lone surrogates here."""
    try:
        size = len(secret.text.encode())
    except UnicodeEncodeError as exc:
        raise kind.error(f"{secret.where}: the {kind.name} is not UTF-8; write it as UTF-8 text") from exc
    if size > kind.max_bytes:
        raise kind.error(
            f"{secret.where}: the {kind.name} has {size} bytes as UTF-8; at most {kind.max_bytes} are allowed"
        )
    return secret


def _read(kind: SecretKind, key: str, path: Path) -> Secret:
    try:
        text = without_bom(read_regular(path, kind.max_bytes)).decode()
    except OSError as exc:
        raise kind.error(f"{key}: can't read the {kind.name} from {path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise kind.error(
            f"{key}: can't read the {kind.name} from {path}: not UTF-8; write it as UTF-8 text"
        ) from exc
    return _checked(kind, Secret(text, key, path))
