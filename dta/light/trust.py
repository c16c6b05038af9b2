"""What a client takes on faith, and how belief moves from there to another header.

The trust file (``dta init`` writes it) names a chain, a height, its header hash and its validator set. At genesis
there is no header yet: the file then stands for the height before the first block, and its validators are those
of the genesis file. docs/spec/light-client.md; docs/adr/0009-verified-reads.md.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from abci_app.block import Time
from abci_app.text import is_chain_id
from dta.base.errors import BadAnswer, NotVerified, UsageError
from dta.base.home import write_file
from dta.light import decode
from dta.light.hashes import header_hash, validators_hash
from dta.light.types import Header, LightBlock, Validator, ValidatorSet
from dta.light.verify import (
    MAX_TOTAL_POWER,
    TWO_THIRDS,
    Fraction,
    require_trusted,
    verify_later_time,
    verify_light_block,
)

DEFAULT_TRUST_PERIOD_S = 180 * 86_400
MAX_TRUST_FILE_BYTES = 1 << 20
_FIELDS = {
    "chain_id", "gid", "genesis_hash", "height", "header_hash", "validators", "trusted_at", "trust_period_s",
}  # fmt: skip


@dataclass(frozen=True)
class TrustFile:
    """A trust file's content.

    ``gid`` and ``genesis_hash`` (SHA-256 of the genesis file's bytes; may be empty) are 32 bytes; ``header_hash`` is
    32 bytes, or empty at genesis, where ``height`` is the one before the first block. ``validators`` sign the
    header at ``height`` (at genesis: the first block). ``trusted_at_s``: Unix seconds, when a person decided this.
    """

    chain_id: str
    gid: bytes
    genesis_hash: bytes
    height: int
    header_hash: bytes
    validators: ValidatorSet
    trusted_at_s: int
    trust_period_s: int = DEFAULT_TRUST_PERIOD_S

    @staticmethod
    def from_genesis(
        genesis_json: bytes, gid: bytes, trusted_at_s: int, trust_period_s: int = DEFAULT_TRUST_PERIOD_S
    ) -> TrustFile:
        """The trust file that stands on CometBFT's genesis file (its exact bytes) and the 32-byte ``gid``.

        Raises UsageError when the file is no genesis file with Ed25519 validators.
        """
        try:
            genesis = json.loads(genesis_json)
            initial_height = decode.integer(decode.member(genesis, "initial_height"), "initial_height")
            validators = tuple(
                decode.validator(v)
                for v in decode.items(decode.member(genesis, "validators"), "validators", decode.MAX_VALIDATORS)
            )
            chain_id = decode.text(decode.member(genesis, "chain_id"), "chain_id", decode.MAX_CHAIN_ID_CHARS)
        except (ValueError, RecursionError) as error:
            raise UsageError("the genesis file is not JSON") from error
        except BadAnswer as error:
            field = error.data["field"]
            raise UsageError(f"the genesis file has no good {field}", data=error.data) from error
        if not validators or not chain_id or len(gid) != 32:
            raise UsageError("a trust file needs a chain id, validators and a gid of 32 bytes")
        return TrustFile(
            chain_id=chain_id,
            gid=gid,
            genesis_hash=sha256(genesis_json).digest(),
            height=max(initial_height, 1) - 1,
            header_hash=b"",
            validators=ValidatorSet.ordered(validators),
            trusted_at_s=trusted_at_s,
            trust_period_s=trust_period_s,
        )

    def moved(self, state: TrustedState) -> TrustFile:
        """The same file moved to a header that was verified from it, and dated by that header's time."""
        if state.header is None:
            return self
        return replace(
            self,
            height=state.height,
            header_hash=state.header_hash,
            validators=state.validators,
            trusted_at_s=max(self.trusted_at_s, state.header.time.seconds),
        )

    def expired(self, now_s: int) -> bool:
        """Whether the trust period is over: validators of that time may have left and have nothing to lose."""
        return now_s > self.trusted_at_s + self.trust_period_s

    def to_json(self) -> str:
        """The file's text."""
        return (
            json.dumps(
                {
                    "chain_id": self.chain_id,
                    "gid": self.gid.hex(),
                    "genesis_hash": self.genesis_hash.hex(),
                    "height": self.height,
                    "header_hash": self.header_hash.hex(),
                    "validators": [
                        {"public_key": b64encode(v.public_key).decode(), "power": v.power}
                        for v in self.validators.validators
                    ],
                    "trusted_at": _iso(self.trusted_at_s),
                    "trust_period_s": self.trust_period_s,
                },
                indent=2,
            )
            + "\n"
        )

    @staticmethod
    def from_json(text: str | bytes) -> TrustFile:
        """Strict: every field known, none missing but ``genesis_hash``. Raises UsageError naming the field."""
        try:
            value = json.loads(text.decode("ascii") if isinstance(text, bytes) else text)
        except (ValueError, RecursionError) as error:
            raise UsageError("the trust file is not JSON in ASCII", hint=_RENEW) from error
        if not isinstance(value, dict) or not _FIELDS - {"genesis_hash"} <= set(value) <= _FIELDS:
            raise UsageError("the trust file's fields are not those of a trust file", hint=_RENEW)
        try:
            return _from_object(value)
        except BadAnswer as error:
            field = error.data["field"]
            raise UsageError(
                f"the trust file has no good {field}: expected {error.data['expected']}", hint=_RENEW, data=error.data
            ) from error

    @staticmethod
    def load(path: Path) -> TrustFile:
        """Reads the file. Raises UsageError when it is missing or not a trust file."""
        try:
            with path.open("rb") as file:
                text = file.read(MAX_TRUST_FILE_BYTES + 1)
        except OSError as error:
            raise UsageError(f"the trust file {path} can't be read: {error.strerror}", hint=_RENEW) from error
        if len(text) > MAX_TRUST_FILE_BYTES:
            raise UsageError(f"the trust file {path} is too large", hint=_RENEW)
        return TrustFile.from_json(text)

    def save(self, path: Path) -> None:
        """Replaces the file as a whole: a crash leaves the old one or the new one. Raises UsageError."""
        write_file(path, self.to_json().encode("ascii"))


_RENEW = "`dta init` writes a trust file; a fiduciary can give you theirs"


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _lower_hex(value: Any, where: str, lengths: tuple[int, ...]) -> bytes:
    found = decode.hex_bytes(value.upper() if isinstance(value, str) else value, where, lengths)
    if found.hex() != value:
        raise decode.refuse(where, f"lower-case hex of {' or '.join(map(str, lengths))} bytes")
    return found


def _whole(value: Any, where: str, minimum: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value < 2**53:
        raise decode.refuse(where, f"a whole number of at least {minimum}")
    return value


def _validators(value: Any) -> ValidatorSet:
    """The set that is trusted: at least one, each key once, no more power than CometBFT allows."""
    validators = []
    for entry in decode.items(value, "validators", decode.MAX_VALIDATORS):
        if not isinstance(entry, dict) or set(entry) != {"public_key", "power"}:
            raise decode.refuse("validators", "public_key (32 bytes in base64) and power")
        key = decode.base64_bytes(entry["public_key"], "validators.public_key", 32)
        if len(key) != 32 or b64encode(key).decode() != entry["public_key"]:
            raise decode.refuse("validators", "public_key (32 bytes in base64) and power")
        validators.append(Validator(key, _whole(entry["power"], "validators.power", 1)))
    held = ValidatorSet.ordered(tuple(validators))
    if not validators or len(held.by_address) != len(validators) or held.total_power > MAX_TOTAL_POWER:
        raise decode.refuse("validators", "at least one validator, each once, and no impossible power")
    return held


def _from_object(value: dict[str, Any]) -> TrustFile:
    chain_id = value["chain_id"]
    if not isinstance(chain_id, str) or not is_chain_id(chain_id, decode.MAX_CHAIN_ID_CHARS):
        raise decode.refuse("chain_id", "a chain id")
    trusted_at = decode.time(value["trusted_at"], "trusted_at")
    if trusted_at.seconds < 0:
        raise decode.refuse("trusted_at", "a time from 1970 on")
    return TrustFile(
        chain_id=chain_id,
        gid=_lower_hex(value["gid"], "gid", (32,)),
        genesis_hash=_lower_hex(value.get("genesis_hash", ""), "genesis_hash", (0, 32)),
        height=_whole(value["height"], "height", 0),
        header_hash=_lower_hex(value["header_hash"], "header_hash", (0, 32)),
        validators=_validators(value["validators"]),
        trusted_at_s=trusted_at.seconds,
        trust_period_s=_whole(value["trust_period_s"], "trust_period_s", 1),
    )


@dataclass(frozen=True)
class TrustedState:
    """What is believed at one height: its validators, and (known for a header, and at genesis) who signs the next.

    ``header`` is None at genesis, and before the header that a trust file only names by its hash was seen.
    """

    chain_id: str
    height: int
    header_hash: bytes
    header: Header | None
    validators: ValidatorSet
    next_validators_hash: bytes

    @staticmethod
    def from_file(trust: TrustFile) -> TrustedState:
        """What the trust file says. Where it names a header, show that with :meth:`anchored` first."""
        at_genesis = not trust.header_hash
        following = validators_hash(trust.validators) if at_genesis else b""
        return TrustedState(trust.chain_id, trust.height, trust.header_hash, None, trust.validators, following)

    @property
    def time(self) -> Time | None:
        """The believed header's time; None where there is no header."""
        return self.header.time if self.header else None

    def anchored(self, header: Header) -> TrustedState:
        """The same, with the header that the trust file names by its hash. Raises NotVerified."""
        if header.chain_id != self.chain_id or header.height != self.height:
            raise NotVerified("trust", "the header shown is not at the trust file's chain and height")
        if header_hash(header) != self.header_hash:
            raise NotVerified(
                "trust",
                f"the node's header at height {self.height} is not the one in the trust file",
                hint="the node is on another chain, or the trust file is of another one",
                data={"computed": header_hash(header).hex(), "trusted": self.header_hash.hex()},
            )
        if header.validators_hash != validators_hash(self.validators):
            raise NotVerified("trust", "the trust file's validators are not those of its own header")
        return replace(self, header=header, next_validators_hash=header.next_validators_hash)

    def step(self, block: LightBlock, level: Fraction = TWO_THIRDS) -> TrustedState:
        """Belief moved to one later block.

        Its own validators must have signed it by more than 2/3. They must be believed, too: at the next height they
        are those that the believed header announced; further on, more than ``level`` of the believed set signed.
        At 2/3, the default, no header is ever accepted on less than 2/3 of a set that was believed before.

        Raises NotVerified: ``header``, ``validators``, ``commit``, ``trust``, ``time``.
        """
        header = block.header
        if header.height <= self.height:
            raise NotVerified("trust", f"height {header.height} is not after the trusted height {self.height}")
        verify_light_block(self.chain_id, block)
        if self.time is not None:
            verify_later_time(self.time, header)
        if header.height == self.height + 1 and self.next_validators_hash:
            self._check_adjacent(header)
        else:
            require_trusted(block, self.validators, level)
        return TrustedState(
            self.chain_id,
            header.height,
            block.signed.commit.block_id.hash,
            header,
            block.validators,
            header.next_validators_hash,
        )

    def _check_adjacent(self, header: Header) -> None:
        if header.validators_hash != self.next_validators_hash:
            raise NotVerified("trust", f"the validators at height {header.height} are not those announced before it")
        if self.header_hash and header.last_block_id.hash != self.header_hash:
            raise NotVerified("trust", f"the header at height {header.height} follows another block than ours")

    def advance(self, blocks: Iterable[LightBlock], level: Fraction = TWO_THIRDS) -> TrustedState:
        """:meth:`step` over blocks of rising heights: each is believed because of the one before."""
        state = self
        for block in blocks:
            state = state.step(block, level)
        return state
