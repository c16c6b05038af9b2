"""Files that lines are added to. A line of which a part was written, as a disk filled, stays; the next begins anew."""

from __future__ import annotations

import os


def is_torn(descriptor: int) -> bool:
    """Whether a file, open for reading too, ends within a line."""
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
