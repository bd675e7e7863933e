"""Writing as root into folders of another user, such as the service's: with that user's rights.

The owner of a folder can replace any name in it by a symbolic link, at any time. Root would follow the
link to any file.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_daemon.domain.errors import EdgeError

_UMASK = 0o022
"""The service must be able to read the files that root makes, also under a stricter umask of root."""


@contextmanager
def as_owner_of(folder: Path) -> Iterator[None]:
    """Act, as root, with the rights of the user who controls `folder` inside the block.

    That user is the first owner other than root on the path from / to `folder`, which need not exist.
    Files opened before or in the block keep their rights after it. Only for processes whose other threads
    open no files meanwhile.
    """
    if os.geteuid() != 0:
        yield
        return
    owner = _controlling_user(folder)
    before = os.getgroups(), os.getegid(), os.umask(_UMASK)
    try:
        if owner != 0:
            group = _group_of(owner)
            os.setgroups([group])
            os.setegid(group)
            os.seteuid(owner)
        yield
    finally:
        os.seteuid(0)
        os.setegid(before[1])
        os.setgroups(before[0])
        os.umask(before[2])


def refuse_planted_link(path: Path) -> None:
    """Raise EdgeError for a symbolic link of another user that root would follow."""
    if os.geteuid() == 0 and path.is_symlink() and path.lstat().st_uid != 0:
        owner = path.lstat().st_uid
        raise EdgeError(
            f"{path} is a link to {os.readlink(path)} that user {owner} made, and root does not follow it; "
            f"remove it, or run this as that user"
        )


def user_name() -> str:
    """Return the name of this process's effective user; the number of a user without a name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _controlling_user(folder: Path) -> int:
    """Return the first owner other than root on the path from / to `folder`, owners of links included."""
    whole = folder.absolute()
    for place in (*reversed(whole.parents), whole):
        if os.path.lexists(place) and (owner := place.lstat().st_uid) != 0:
            return owner
    return 0


def _group_of(user: int) -> int:
    try:
        return pwd.getpwuid(user).pw_gid
    except KeyError:
        return user
