"""Files written whole or not at all, and by one run at a time."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["alone", "write_whole"]


def write_whole(path: str | os.PathLike[str], content: bytes, *, draft: Path | None = None) -> Path:
    """Write a file whole or not at all, with the folders that it needs; return its path.

    The content goes into a file beside it, which then takes its name. Whoever reads the path
    sees the old file or the new one, whenever the writer is killed. OSError passes through, and
    the old file is then as it was.

    As with `open`, links lead to the file that is meant; an old file keeps its mode and, where
    the system allows, its owner; one that may not be written is refused; and a pipe or a device
    is written to. Other hard links to an old file keep the old content.

    ``draft`` is the file beside, where the caller sees to it that nobody else writes there.
    """
    target = Path(os.path.realpath(path))
    try:
        old = os.stat(path)  # noqa: PTH116 - it follows all links, also those of /dev/stdout
    except FileNotFoundError:
        if not os.fspath(path):  # which `realpath` takes for the folder that we are in
            raise
        old = None
        target.parent.mkdir(parents=True, exist_ok=True)
    if old is not None:
        if not (stat.S_ISREG(old.st_mode) and _is(target, old)):
            with open(path, "wb", opener=_existing) as file:
                file.write(content)
            return Path(path)
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    draft = _beside(target, f"{secrets.token_hex(8)}.tmp") if draft is None else draft
    try:
        draft.unlink(missing_ok=True)  # of a writer that was killed
        with open(draft, "xb", opener=_readable if old is None else _private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the name without the content
        if old is not None:
            _give(draft, old)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return Path(path)


def _existing(path: str, flags: int) -> int:
    return os.open(path, flags & ~os.O_CREAT)


def _readable(path: str, flags: int) -> int:
    return os.open(path, flags, 0o666)  # less what the umask says, as for any new file


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # till it has the old one's mode, which may be as strict


def _is(path: Path, status: os.stat_result) -> bool:
    """Whether a path leads to the file of this status; a file without a name has no such path."""
    try:
        return os.path.samestat(path.stat(), status)
    except OSError:
        return False


def _give(path: Path, old: os.stat_result) -> None:
    """Give a file the owner and the mode of another."""
    new = path.stat()
    if hasattr(os, "chown") and (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        with suppress(OSError):  # only root may give files away; others may to their own groups
            os.chown(path, -1, old.st_gid)
            os.chown(path, old.st_uid, -1)
    path.chmod(stat.S_IMODE(old.st_mode))


def _beside(target: Path, ending: str) -> Path:
    """A hidden file beside a file, by a name that is short whatever the other's length."""
    name = os.fsencode(target.name)
    digest = hashlib.sha256(name).hexdigest()[:12]
    return target.with_name(f".{target.name[:16]}.{digest}.{ending}")


@contextmanager
def alone(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Within it no other may enter for the same file, in this process or in another.

    It gives the path of a draft for `write_whole`, which is cleared away at the end, as is one
    that a killed process left. The system ends the hold of a process that was killed.

    Raises BlockingIOError, which names the path, where another is within.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = _beside(target, "lock")
    while True:
        file = open(lock, "ab", opener=_readable)  # noqa: SIM115 - it is closed where it is left
        if not _held(file.fileno()):
            file.close()
            raise BlockingIOError(
                errno.EAGAIN,
                "another run is writing this file; let it end, or write to another file",
                str(path),
            )
        if _is(lock, os.fstat(file.fileno())):
            break
        file.close()  # it was cleared away by who held it, and is nobody's to hold
    draft = _beside(target, "tmp")
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)
        with suppress(PermissionError):  # Windows keeps files that are open
            lock.unlink(missing_ok=True)
        file.close()


if sys.platform == "win32":
    import msvcrt

    def _held(file: int) -> bool:
        """Hold an open file, unless another does."""
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _held(file: int) -> bool:
        """Hold an open file, unless another does."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:  # a file system without locks has no other way than to trust
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
        return True
