"""Headers, commits and validator sets as plain values: what CometBFT's RPC gives and the light client checks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from abci_app.block import Time

ADDRESS_BYTES = 20
FLAG_ABSENT, FLAG_COMMIT, FLAG_NIL = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Version:
    """The block protocol's and the application's version."""

    block: int
    app: int = 0


@dataclass(frozen=True, slots=True)
class PartSetHeader:
    """How many parts a block was sent in, and the Merkle root of those parts (32 bytes, or empty)."""

    total: int = 0
    hash: bytes = b""


@dataclass(frozen=True, slots=True)
class BlockId:
    """The header's hash (32 bytes, or empty before the first block) with the block's part set header."""

    hash: bytes = b""
    parts: PartSetHeader = PartSetHeader()


@dataclass(frozen=True, slots=True)
class Header:
    """A block header. ``app_hash`` and ``last_results_hash`` are those of the block *before* this one."""

    version: Version
    chain_id: str
    height: int
    time: Time
    last_block_id: BlockId
    last_commit_hash: bytes
    data_hash: bytes
    validators_hash: bytes
    next_validators_hash: bytes
    consensus_hash: bytes
    app_hash: bytes
    last_results_hash: bytes
    evidence_hash: bytes
    proposer_address: bytes


@dataclass(frozen=True, slots=True)
class CommitSig:
    """One validator's precommit. ``flag``: 1 absent (the rest is empty), 2 for the block, 3 for nil."""

    flag: int
    validator_address: bytes
    time: Time
    signature: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """The precommits for one block, one entry a validator, in the order of its validator set."""

    height: int
    round: int
    block_id: BlockId
    signatures: tuple[CommitSig, ...]


@dataclass(frozen=True, slots=True)
class Validator:
    """A consensus key (Ed25519, 32 bytes) and its voting power (>= 1)."""

    public_key: bytes
    power: int

    @property
    def address(self) -> bytes:
        """The first 20 bytes of SHA-256 of the key."""
        return sha256(self.public_key).digest()[:ADDRESS_BYTES]


@dataclass(frozen=True)
class ValidatorSet:
    """Validators in CometBFT's order: by falling power, then by rising address. The hash depends on the order."""

    validators: tuple[Validator, ...]

    @staticmethod
    def ordered(validators: tuple[Validator, ...]) -> ValidatorSet:
        """The same validators in CometBFT's order."""
        return ValidatorSet(tuple(sorted(validators, key=lambda v: (-v.power, v.address))))

    @cached_property
    def total_power(self) -> int:
        """The sum of all voting power."""
        return sum(validator.power for validator in self.validators)

    @cached_property
    def by_address(self) -> dict[bytes, Validator]:
        """Validators by their 20-byte address."""
        return {validator.address: validator for validator in self.validators}


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """A header with the commit that is claimed for it."""

    header: Header
    commit: Commit


@dataclass(frozen=True, slots=True)
class LightBlock:
    """What one light verification step takes: a signed header and the validator set that is claimed to sign it."""

    signed: SignedHeader
    validators: ValidatorSet

    @property
    def header(self) -> Header:
        """The header, not verified by being here."""
        return self.signed.header
