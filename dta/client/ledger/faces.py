"""Two faces of one set of flows: the same methods, blocking or awaited, with their types.

A class of flows marks what others are to call with :class:`operation`. On the flows themselves such a method is what it
was, a flow; on a class that derives from :class:`Blocking` it runs the flow and returns its result; on one that derives
from :class:`Awaiting` it returns an awaitable of it. So a method is spelt once, and a new one has both faces.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from dta.client.ledger.flow import Flow

P = ParamSpec("P")
T = TypeVar("T")


class Blocking:
    """Runs operations to their end. The class that derives from it has ``rpc`` and ``flows``."""


class Awaiting:
    """Runs operations under asyncio. The class that derives from it has ``rpc`` and ``flows``."""


class operation(Generic[P, T]):
    """A flow that the faces have as a method."""

    def __init__(self, flow: Callable[Concatenate[Any, P], Flow[T]]) -> None:
        self._flow = flow
        self.__doc__ = flow.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> operation[P, T]: ...
    @overload
    def __get__(self, instance: Blocking, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, instance: Awaiting, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Callable[P, Flow[T]]: ...
    def __get__(self, instance: object, owner: type) -> Any:
        if instance is None:
            return self
        if isinstance(instance, Blocking | Awaiting):
            return partial(_run, instance, self._flow)
        return partial(self._flow, instance)


def _run(face: Any, flow: Callable[..., Flow[Any]], *arguments: Any, **named: Any) -> Any:
    return face.rpc.run(flow(face.flows, *arguments, **named))
