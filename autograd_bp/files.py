"""Files written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file whole or not at all, with the folders that it needs; return its path.

    The content goes into a file beside it, which then takes its name. Whoever reads the path
    sees the old file or the new one, whenever the writer is killed. OSError passes through, and
    the old file is then as it was.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the name without the content
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return target
