"""Clients of ``import dta`` over a ledger in one process (tests/support/order_flow.py)."""

from __future__ import annotations

from pathlib import Path

from dta.client.names import NameBook
from dta.sdk.client import AsyncClient, Client
from tests.support.actors import Actor
from tests.support.order_flow import World


def names_of(world: World) -> NameBook:
    """Whom everybody there knows: the three, and the founders."""
    people = {actor.name: actor.identity for actor in (world.alice, world.bob, world.carol)}
    founders = {founder.name: founder.identity for founder in world.chain.replica.founders}
    return NameBook({**founders, **people}, tuple(founders.values()))


def client_of(world: World, actor: Actor) -> Client:
    """The blocking client of somebody of that world."""
    return Client.of_session(world.session(actor), names_of(world))


def async_client_of(world: World, actor: Actor) -> AsyncClient:
    """The asynchronous one."""
    return AsyncClient.of_session(world.session(actor), names_of(world))


EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
