"""The checks of a light client: this header was committed by these validators.

Each check raises :class:`NotVerified` whose ``step`` names it. Source: CometBFT's ``types/validation.go`` and
``light/verifier.go``; docs/spec/light-client.md states the rules and where ours are stricter.
"""

from __future__ import annotations

from dataclasses import dataclass

from abci_app.block import Time
from dta.base.errors import NotVerified
from dta.light import wire, zip215
from dta.light.hashes import header_hash, validators_hash
from dta.light.types import (
    FLAG_ABSENT,
    FLAG_COMMIT,
    Commit,
    CommitSig,
    Header,
    LightBlock,
    Validator,
    ValidatorSet,
)

BLOCK_PROTOCOL = 11
MAX_TOTAL_POWER = (2**63 - 1) // 8
"""CometBFT's own bound: sums can't overflow there, and the figures mean the same here."""


@dataclass(frozen=True, slots=True)
class Fraction:
    """A share of voting power that must be *exceeded*."""

    numerator: int
    denominator: int

    def exceeded_by(self, power: int, total: int) -> bool:
        """Whether ``power`` of ``total`` is more than this fraction."""
        return power * self.denominator > total * self.numerator


TWO_THIRDS = Fraction(2, 3)
ONE_THIRD = Fraction(1, 3)


@dataclass(frozen=True, slots=True)
class Power:
    """How much of a set's voting power signed: more than 2/3 of ``total`` where a check returned it."""

    signed: int
    total: int


def verify_header_hash(header: Header, commit: Commit) -> bytes:
    """That ``commit`` is for ``header``. Returns the header's 32-byte hash."""
    if header.version.block != BLOCK_PROTOCOL:
        raise NotVerified("header", f"block protocol {header.version.block} is not {BLOCK_PROTOCOL}")
    computed = header_hash(header)
    if commit.height != header.height:
        raise NotVerified("header", f"the commit is for height {commit.height}, the header of {header.height}")
    if commit.block_id.hash != computed:
        raise NotVerified(
            "header",
            f"the commit at height {header.height} is for another header than the one given",
            data={"computed": computed.hex(), "committed": commit.block_id.hash.hex()},
        )
    return computed


def verify_validator_set(expected_hash: bytes, validators: ValidatorSet, what: str = "the header's") -> None:
    """That the set is well formed and is the one whose hash is ``expected_hash``."""
    if not validators.validators or len(validators.by_address) != len(validators.validators):
        raise NotVerified("validators", "the validator set is empty or names a validator twice")
    if any(v.power <= 0 for v in validators.validators) or validators.total_power > MAX_TOTAL_POWER:
        raise NotVerified("validators", "the validator set has an impossible voting power")
    computed = validators_hash(validators)
    if computed != expected_hash:
        raise NotVerified(
            "validators",
            f"the validators that the node named are not {what} set",
            data={"computed": computed.hex(), "expected": expected_hash.hex()},
        )


def _check_signature(chain_id: str, commit: Commit, signature: CommitSig, validator: Validator) -> None:
    """One precommit's signature, for the block or for nil."""
    block = commit.block_id if signature.flag == FLAG_COMMIT else None
    message = wire.precommit_sign_bytes(chain_id, commit.height, commit.round, block, signature.time)
    if not zip215.verify(validator.public_key, message, signature.signature):
        raise NotVerified(
            "commit",
            f"a signature in the commit at height {commit.height} is wrong",
            data={"validator": validator.address.hex(), "height": commit.height},
        )


def verify_commit(chain_id: str, header: Header, commit: Commit, validators: ValidatorSet) -> Power:
    """That more than 2/3 of the header's own validator set signed it: every signature present is checked.

    ``validators`` may come from anybody: its hash must be the header's ``validators_hash``. This alone proves
    nothing about *who* they are; :mod:`dta.light.trust` ties them to a set that is trusted.

    Raises NotVerified: ``header``, ``validators``, ``commit``.
    """
    if header.chain_id != chain_id:
        raise NotVerified(
            "header",
            f"the header is of chain {header.chain_id!r}, not of {chain_id!r}",
            hint="the node belongs to another network: check its address and your trust file",
        )
    verify_header_hash(header, commit)
    verify_validator_set(header.validators_hash, validators)
    if len(commit.signatures) != len(validators.validators):
        raise NotVerified("commit", "the commit has not one entry for each validator")
    signed = 0
    for signature, validator in zip(commit.signatures, validators.validators, strict=True):
        if signature.flag == FLAG_ABSENT:
            continue
        if signature.validator_address != validator.address:
            raise NotVerified("commit", "a signature in the commit is filed under another validator")
        _check_signature(chain_id, commit, signature, validator)
        if signature.flag == FLAG_COMMIT:
            signed += validator.power
    power = Power(signed, validators.total_power)
    _require(power, TWO_THIRDS, f"of the validators at height {header.height}", "commit")
    return power


def trusted_power(block: LightBlock, trusted: ValidatorSet) -> Power:
    """How much of ``trusted`` signed a block whose own commit :func:`verify_commit` has accepted.

    That accepted entry i under the key of the block's validator i: those keys decide here, not claimed addresses.
    """
    pairs = zip(block.signed.commit.signatures, block.validators.validators, strict=True)
    signers = {validator.public_key for signature, validator in pairs if signature.flag == FLAG_COMMIT}
    signed = sum(v.power for v in trusted.validators if v.public_key in signers)
    return Power(signed, trusted.total_power)


def _require(power: Power, level: Fraction, whose: str, step: str) -> None:
    if not level.exceeded_by(power.signed, power.total):
        raise NotVerified(
            step,
            f"only {power.signed} of {power.total} voting power {whose} signed; "
            f"more than {level.numerator}/{level.denominator} must",
            data={"signed": power.signed, "total": power.total},
        )


def require_trusted(block: LightBlock, trusted: ValidatorSet, level: Fraction) -> Power:
    """That more than ``level`` of the trusted set signed. Raises NotVerified (step ``trust``)."""
    power = trusted_power(block, trusted)
    _require(power, level, "of the validators we trust", "trust")
    return power


def verify_later_time(earlier: Time, header: Header) -> None:
    """That a later header has a later time. Raises NotVerified (step ``time``)."""
    if header.time <= earlier:
        raise NotVerified("time", f"the header at height {header.height} is not later than one before it")


def verify_light_block(chain_id: str, block: LightBlock) -> Power:
    """:func:`verify_commit` of a light block."""
    return verify_commit(chain_id, block.header, block.signed.commit, block.validators)
