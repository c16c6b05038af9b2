"""How long a test waits for what must come."""

from __future__ import annotations

from typing import Final

PATIENCE_S: Final = 120.0
"""Many times what anything here takes on a slow machine that has other work as well: only a fault takes so long."""
