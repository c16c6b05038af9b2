"""Who the fiduciaries are just now, all proved: the founders, and whoever the validators of a verified header are.

A header names its validators, and for each of their keys the ledger says whose it is. So one that was admitted after
genesis is found without believing any node's list; it appears two heights after its admission.
"""

from __future__ import annotations

from collections.abc import Iterable

from abci_app.pb.dta.v1 import identity_pb2
from abci_app.state.records import FIDUCIARIES, IDENTITIES, VALIDATOR_ADDRESSES, validator_address
from dta.client.ledger import leaves
from dta.client.ledger.ledger import Ledger
from dta.light.people import People
from dta.light.types import Validator


def current(ledger: Ledger, founders: Iterable[bytes]) -> dict[bytes, identity_pb2.FiduciaryRecord]:
    """The active fiduciaries: the founders in their order, then the others by id. Raises what verified reads raise."""
    found: dict[bytes, identity_pb2.FiduciaryRecord] = {}
    candidates = list(founders)
    for founder in candidates:
        _add(ledger, found, founder)
    validators = ledger.trust.newest.validators.validators  # of the header that the last of these reads verified
    addresses = [validator_address(validator.public_key) for validator in validators]
    others = [ledger.prove(VALIDATOR_ADDRESSES.key(address)).value for address in addresses]
    for other in sorted({owner for owner in others if owner is not None} - set(candidates)):
        _add(ledger, found, other)
    return found


def people(ledger: Ledger, validators: Iterable[Validator]) -> People:
    """Whose these validators' keys are, and their names now, all proved. Raises what verified reads raise."""
    names, owners = {}, {}
    for validator in validators:
        address = validator_address(validator.public_key)
        owner = ledger.prove(VALIDATOR_ADDRESSES.key(address)).value
        if owner is not None:
            owners[address], names[owner] = owner, ledger.get(leaves.of(IDENTITIES, owner)).name
    return People(names, owners)


def _add(ledger: Ledger, found: dict[bytes, identity_pb2.FiduciaryRecord], id_: bytes) -> None:
    record = ledger.find(leaves.of(FIDUCIARIES, id_))
    if record is not None and record.status == identity_pb2.FIDUCIARY_STATUS_ACTIVE:
        found[id_] = record
