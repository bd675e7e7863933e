"""Root's writing in folders that another user owns, such as the service's: done with that user's rights.

The owner of a folder can put a symbolic link in the place of any name in it, at any time. With root's
rights the link would be followed wherever it points.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_daemon.domain.errors import EdgeError

_UMASK = 0o022
"""What root makes for the service must be readable by it, whatever root's own umask."""


@contextmanager
def as_owner_of(folder: Path) -> Iterator[None]:
    """Have this process, if it is root's, act as the user who controls `folder`, which need not exist.

    That is the first owner other than root among the folders above it and itself. Files opened before
    or in the block keep their rights after it. For a process with one thread at work.
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
    """Raise EdgeError when root would follow a symbolic link that another user made."""
    if os.geteuid() == 0 and path.is_symlink() and path.lstat().st_uid != 0:
        owner = path.lstat().st_uid
        raise EdgeError(
            f"{path} is a link to {os.readlink(path)} that user {owner} made, and root does not follow it; "
            f"remove it, or run this as that user"
        )


def user_name() -> str:
    """Return the name of the user this process acts as; the number of one without a name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _controlling_user(folder: Path) -> int:
    """Return the first owner other than root on the way from / to `folder`, links themselves included."""
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
