"""How often Python looks for cycles of dead objects: seldom. Nearly all that a block makes is freed by its counts."""

from __future__ import annotations

import gc
from typing import Final

# Containers made and not freed since the last look, and looks at the young before one at the older (docs/adr/0036).
YOUNG: Final = 50_000
YOUNG_LOOKS: Final = 20
OLDER_LOOKS: Final = 100


def settle() -> None:
    """Look once more, leave out from now on what start-up made and keeps, and look seldom.

    By Python's own 700, a block of a thousand orders is gone through a hundred times while it is made.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, YOUNG_LOOKS, OLDER_LOOKS)
