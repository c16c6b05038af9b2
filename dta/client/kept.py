"""Small files of a home that say what was read: each worth no more than that who loses it reads all of it again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from dta.base.errors import UsageError
from dta.base.home import MAX_FILE_BYTES, make_directory, read_file, write_file

T = TypeVar("T")


def load(path: Path, what: str, parse: Callable[[bytes], T], max_bytes: int = MAX_FILE_BYTES) -> T | None:
    """What ``parse`` makes of the file; None where there is none, or one that can't be read or is not good."""
    if not path.exists():
        return None
    try:
        return parse(read_file(path, what, max_bytes))
    except UsageError:
        return None  # all of it can be read again, by proof


def save(path: Path, content: Mapping[str, object]) -> None:
    """Writes it as JSON. Raises UsageError where the home can't be written."""
    make_directory(path.parent)
    write_file(path, (json.dumps(content) + "\n").encode())
