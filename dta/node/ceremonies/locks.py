"""One lock over the keys of ceremonies: what makes or uses a deal key and what destroys it take turns."""

from __future__ import annotations

from threading import Lock
from typing import Final

KEYS: Final = Lock()
"""Held while committed state is read *and* acted on. A deal key that was destroyed must not be made again, for the
new one would deal another polynomial in the same attempt."""
