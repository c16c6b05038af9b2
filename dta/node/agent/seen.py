"""Tasks that nobody need wait for."""

from __future__ import annotations

import asyncio
from typing import Any


def seen(done: asyncio.Future[Any]) -> None:
    """For ``add_done_callback``: its error is looked at, so that it is nobody's where all who asked have gone."""
    if not done.cancelled():
        done.exception()
