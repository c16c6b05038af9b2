"""What starts a chain and what can't; and JSON tricks that would let two readers see two geneses."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from abci_app import transition
from abci_app.block import Genesis, Time, ValidatorUpdate
from abci_app.errors import GenesisRefused
from abci_app.genesis import genesis_id, parse_app_state
from abci_app.params import MIN_BLOCK_COST
from tests.support.actors import Actor
from tests.support.chain import make_genesis


@cache
def made() -> tuple[Genesis, bytes]:
    return make_genesis([Actor(f"fiduciary-{n}", fiduciary=True) for n in range(3)])


def with_state(change: Callable[[dict[str, Any]], object]) -> Genesis:
    genesis, _ = made()
    state = json.loads(genesis.app_state)
    change(state)
    return dataclasses.replace(genesis, app_state=json.dumps(state).encode())


def refused(genesis: Genesis) -> str:
    with pytest.raises(GenesisRefused) as caught:
        transition.init_chain(genesis)
    return caught.value.field


def test_genesis_is_the_same_whenever_it_is_read_again() -> None:
    genesis, gid = made()
    changes = transition.init_chain(genesis)
    assert transition.init_chain(genesis) == changes
    assert genesis_id(genesis, parse_app_state(genesis.app_state)) == gid


def test_white_space_and_the_order_of_names_do_not_matter_since_cometbft_changes_both() -> None:
    genesis, _ = made()
    state = json.loads(genesis.app_state)
    turned = dict(reversed(list(state.items())))
    again = dataclasses.replace(genesis, app_state=json.dumps(turned, indent=7).encode())
    assert transition.init_chain(again) == transition.init_chain(genesis)


def test_the_order_of_cometbfts_validators_does_not_matter() -> None:
    genesis, _ = made()
    turned = dataclasses.replace(genesis, validators=genesis.validators[::-1])
    assert transition.init_chain(turned) == transition.init_chain(genesis)


@pytest.mark.parametrize(
    "change",
    [
        lambda g: dataclasses.replace(g, chain_id="dta-test-2"),
        lambda g: dataclasses.replace(g, time=Time(g.time.seconds, 1)),
        lambda g: dataclasses.replace(g, initial_height=2),
    ],
)
def test_what_names_the_chain_is_in_its_id_and_so_in_every_proof(change: Callable[[Genesis], Genesis]) -> None:
    assert refused(change(made()[0])) == "fiduciaries[0]"


def test_changing_a_parameter_breaks_the_founders_proofs() -> None:
    assert refused(with_state(lambda s: s["params"].update(maxTxBytes=40_000))) == "fiduciaries[0]"


TRICKS: dict[str, Callable[[bytes], bytes]] = {
    "a name twice": lambda text: text.replace(b'{"params":', b'{"params": {}, "params":', 1),
    "a name deep inside twice": lambda text: text.replace(b'"maxTxBytes":', b'"maxTxBytes": 1, "maxTxBytes":', 1),
    "two spellings of one name": lambda text: text.replace(b'"maxTxBytes":', b'"max_tx_bytes": 1, "maxTxBytes":', 1),
    "an unknown name": lambda text: text.replace(b'{"params":', b'{"more": 1, "params":', 1),
    "a fraction": lambda text: text.replace(b'"maxTxBytes": 65536', b'"maxTxBytes": 65536.0', 1),
    "an exponent": lambda text: text.replace(b'"maxTxBytes": 65536', b'"maxTxBytes": 6e4', 1),
    "not a number": lambda text: text.replace(b'"maxTxBytes": 65536', b'"maxTxBytes": NaN', 1),
    "infinity": lambda text: text.replace(b'"maxTxBytes": 65536', b'"maxTxBytes": Infinity', 1),
    "true": lambda text: text.replace(b'"maxTxBytes": 65536', b'"maxTxBytes": true', 1),
    "a number below nothing": lambda text: text.replace(b'"maxTxBytes": 65536', b'"maxTxBytes": -1', 1),
    "more than fits": lambda text: text.replace(b'"maxTxBytes": 65536', b'"maxTxBytes": 4294967296', 1),
    "a list": lambda _: b"[]",
    "null": lambda _: b"null",
    "a string": lambda _: b'"params"',
    "nothing": lambda _: b"",
    "something behind the end": lambda text: text + b"{}",
    "bytes that are no text": lambda text: b"\xff" + text,
    "null in the place of an object": lambda text: text.replace(b'"params": {', b'"params": null, "x": {', 1),
    "nesting without end": lambda _: b'{"a":' * 100_000,
    "half a character": lambda text: text.replace(b'"fiduciaries": [', b'"fiduciaries": ["\\ud800",', 1),
    "thousands of digits": lambda text: text.replace(b'"maxTxBytes": 65536', b'"maxTxBytes": ' + b"9" * 5_000, 1),
}


@pytest.mark.parametrize("name", TRICKS)
def test_a_trick_in_the_json_is_refused(name: str) -> None:
    genesis, _ = made()
    changed = TRICKS[name](genesis.app_state)
    assert changed != genesis.app_state, "the trick changed nothing"
    assert refused(dataclasses.replace(genesis, app_state=changed)).startswith("app_state")


def test_too_large_a_genesis_is_refused_before_it_is_read() -> None:
    genesis, _ = made()
    assert refused(dataclasses.replace(genesis, app_state=b" " * (16_777_216 + 1))) == "app_state"


@pytest.mark.parametrize("chain_id", ["", "a" * 51, "two words", "gr\u00fcn", "a\nb"])
def test_a_chain_id_is_plain(chain_id: str) -> None:
    assert refused(dataclasses.replace(made()[0], chain_id=chain_id)) == "chain_id"


@pytest.mark.parametrize(
    ("name", "value"),
    [("maxTxBytes", 1), ("maxBlockCost", MIN_BLOCK_COST - 1), ("maxUpkeepCost", 0), ("maxExpiryBlocks", 1_000_000),
     ("protocolVersion", 2), ("registration", 0),
     ("custodians", []), ("custodians", [{"name": "B", "contributionBytes": 32, "verifier": 1}])],
)  # fmt: skip
def test_a_parameter_out_of_bounds_is_named(name: str, value: object) -> None:
    field = refused(with_state(lambda s: s["params"].update({name: value})))
    assert field.startswith("params.")
    assert field.removeprefix("params.").replace("_", "") == name.lower()


def test_cometbfts_validators_must_be_those_of_the_state() -> None:
    genesis, _ = made()
    for validators in (
        (), genesis.validators[1:], (*genesis.validators, genesis.validators[0]),
        (ValidatorUpdate(genesis.validators[0].public_key, 11), *genesis.validators[1:]),
    ):  # fmt: skip
        assert refused(dataclasses.replace(genesis, validators=validators)) == "validators"


def test_a_chain_needs_a_founder_and_each_founder_once() -> None:
    assert refused(dataclasses.replace(with_state(lambda s: s.update(fiduciaries=[])), validators=())) == "fiduciaries"
    twice = with_state(lambda s: s["fiduciaries"].append(s["fiduciaries"][0]))
    twice = dataclasses.replace(twice, validators=(*twice.validators, twice.validators[0]))
    assert refused(twice).startswith("fiduciaries[")


def test_a_principal_founds_no_chain() -> None:
    with pytest.raises(GenesisRefused, match="fiduciary role"):
        transition.init_chain(make_genesis([Actor("alice")])[0])
