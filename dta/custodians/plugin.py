"""What a custodian plugin implements, and what passes in and out of it (docs/howto/write-a-custodian.md).

A plugin is a class without constructor arguments under the entry point group ``dta.custodians``; the entry's name is
the custodian's name in ``params.custodians``. It has two sides: a fiduciary's agent calls ``vault_key``, ``accept``,
``release``, ``erase`` and ``health``, from several threads at once; a principal's and a beneficiary's program calls
``prepare`` and ``recover``. It keeps no state of its own outside the keystore and the order's envelope. It may accept
many orders at once (:class:`AcceptsMany`); ``dta/custodians/accepting.py`` asks those that do not one by one.

Where ``params.custodians`` says ``VERIFIER_EXTRACTION`` for it, its orders are under an authority key: no vault, and
the fiduciary's side is the agent's own (partials, which the ledger verifies). The first four are not called then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.pb.dta.v1.authority_pb2 import AuthorityRecord, MemberRecord
from abci_app.pb.dta.v1.extraction_pb2 import ExtractionItem, ExtractionRecord, PartialRecord
from abci_app.pb.dta.v1.identity_pb2 import HpkeKey, IdentityRecord
from dta.base.errors import EXIT_NOT_VERIFIED, DtaError
from dta.base.secret import SecretBytes
from dta.crypto.bls import BlsSigner
from dta.crypto.hpke import HpkePrivateKey
from dta.crypto.scalar import SecretScalar
from dta.hsm.keystore import CheckStep, Keystore


class OrderRejected(Exception):
    """This fiduciary can't hold its share, and never will. ``rejection`` goes on the ledger, ``detail`` in the log.

    ``reason`` tells apart what a custodian rejects with one ``rejection``: a word for the rule.
    """

    def __init__(self, rejection: custody_pb2.Rejection, detail: str = "", *, reason: str = "") -> None:
        super().__init__(rejection, detail, reason)
        self.rejection = rejection
        self.detail = detail
        self.reason = reason

    def __str__(self) -> str:
        name = custody_pb2.Rejection.Name(self.rejection).removeprefix("REJECTION_").lower().replace("_", "-")
        return f"{name}: {self.detail}" if self.detail else name


class NotEnoughShares(DtaError):
    """Fewer good answers than the threshold. ``data``: how many of each; ``bad_fiduciaries``: who answered badly."""

    kind = "not-enough-shares"
    exit_code = EXIT_NOT_VERIFIED

    def __init__(self, good: int, threshold: int, bad_fiduciaries: Sequence[bytes]) -> None:
        bad = ", ".join(fiduciary.hex() for fiduciary in bad_fiduciaries)
        super().__init__(
            f"{good} good shares of the {threshold} needed" + (f"; bad ones came from {bad}" if bad else ""),
            hint="wait for more answers; `dta order report` proves a bad one on the ledger",
            data={"good": good, "threshold": threshold, "bad": [fiduciary.hex() for fiduciary in bad_fiduciaries]},
        )
        self.bad_fiduciaries = list(bad_fiduciaries)


class OrderUnsound(DtaError):
    """Every share matches its commitment, and still the secret does not come out: the principal made it so."""

    kind = "order-unsound"
    exit_code = EXIT_NOT_VERIFIED

    def __init__(self, order: bytes, principal: bytes, reason: str) -> None:
        super().__init__(
            f"the order can't be opened: {reason}",
            hint="no fiduciary is to blame: the principal sealed it so",
            data={"order": order.hex(), "principal": principal.hex(), "reason": reason},
        )


@dataclass(frozen=True, slots=True)
class CustodyContext:
    """Who acts: ``gid`` names the ledger (32 bytes), ``fiduciary_id`` this fiduciary (32 bytes)."""

    gid: bytes
    fiduciary_id: bytes
    keystore: Keystore


@dataclass(frozen=True, slots=True)
class Entrusted:
    """An order as committed state has it, its vault, its principal's identity now, and the block of its envelope.

    The block's hash was checked against ``order.envelope_cid``, its size against ``params.max_envelope_bytes``.
    """

    order: custody_pb2.OrderRecord
    vault: custody_pb2.VaultRecord
    principal: IdentityRecord
    envelope_block: bytes


@dataclass(frozen=True, slots=True)
class PrepareInput:
    """What a principal entrusts. ``keys``: fiduciary id -> its published vault key, in the order that shares are dealt.

    ``salt``: 32 fresh random bytes, the order's nonce. ``bls`` signs the envelope with the key that the ledger has for
    ``principal``. ``time_s``: Unix seconds. ``authority``: the key, for an order under one; ``vault`` and ``keys`` are
    empty then.
    """

    gid: bytes
    principal: bytes
    vault: custody_pb2.VaultRecord
    keys: Mapping[bytes, HpkeKey]
    threshold: int
    policy: custody_pb2.Policy
    rule: custody_pb2.BeneficiaryRule
    salt: bytes
    secret: SecretBytes
    bls: BlsSigner
    time_s: int
    authority: AuthorityRecord | None = None


@dataclass(frozen=True, slots=True)
class PreparedOrder:
    """``envelope_block`` is uploaded first, then ``message`` is signed and sent. The caller sets the expiry."""

    message: tx_pb2.PlaceOrder
    envelope_block: bytes


@dataclass(frozen=True, slots=True)
class Extracted:
    """What the members of a key's epoch answered to a request under it: all records are proved by the ledger.

    ``members``: fiduciary id -> its seat; ``partials``: fiduciary id -> its partial. ``transport``: the receiver's x.
    """

    authority: AuthorityRecord
    record: ExtractionRecord
    item: ExtractionItem
    members: Mapping[bytes, MemberRecord]
    partials: Mapping[bytes, PartialRecord]
    transport: SecretScalar


@dataclass(frozen=True, slots=True)
class RecoverInput:
    """What a beneficiary has: records proved by the ledger, the envelope's block, and who answered what.

    ``answers``: fiduciary id -> sealed answer. ``keys``: fiduciary id -> the request's private key for it.
    ``extracted``: what there is instead of both for an order under an authority key; ``vault`` is empty then.
    """

    gid: bytes
    order: custody_pb2.OrderRecord
    vault: custody_pb2.VaultRecord
    request: custody_pb2.RequestRecord
    principal: IdentityRecord
    envelope_block: bytes
    answers: Mapping[bytes, bytes]
    keys: Mapping[bytes, HpkePrivateKey]
    extracted: Extracted | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """The secret, and the fiduciaries whose answer ReportShare would prove bad, in the order's order."""

    secret: SecretBytes
    bad_fiduciaries: list[bytes]


class Custodian(Protocol):
    """A way to safeguard a secret. Every method of the fiduciary's side may raise KeystoreError: it is tried again."""

    caveat: str
    """One line that is said to whoever chooses this custodian for an order; empty where there is nothing to say."""

    def vault_key(self, context: CustodyContext, vault: custody_pb2.VaultRecord) -> HpkeKey:
        """The public key of the vault at this fiduciary; its private half made in the keystore if it is not there.

        Called only while the ledger has no key of this fiduciary for the vault. The same vault gives the same key.
        """

    def accept(self, context: CustodyContext, entrusted: Entrusted) -> None:
        """Check that this fiduciary could release its share of the order. Raises :class:`OrderRejected`."""

    def release(
        self,
        context: CustodyContext,
        entrusted: Entrusted,
        request: custody_pb2.RequestRecord,
        receiver_key: HpkeKey,
    ) -> bytes:
        """The answer for FulfilSecret: this fiduciary's contribution, sealed to ``receiver_key``.

        Whoever calls has just read in committed state that the policy is satisfied. Raises :class:`OrderRejected`
        where the share can't be read any more.
        """

    def erase(self, context: CustodyContext, vault: custody_pb2.VaultRecord) -> None:
        """Destroy the vault's key, durably on return. Again is harmless."""

    def health(self, context: CustodyContext) -> list[CheckStep]:
        """Whether the plugin could work now."""

    def prepare(self, given: PrepareInput) -> PreparedOrder:
        """Seal a secret for the named fiduciaries. Raises CannotSeal (too large, a malformed key), BadShares."""

    def recover(self, given: RecoverInput) -> Recovered:
        """The secret out of the answers. Raises NotEnoughShares, OrderUnsound, CannotOpenEnvelope (the block)."""


@runtime_checkable
class AcceptsMany(Protocol):
    """A custodian to which many orders together cost less than one by one."""

    def accept_many(self, context: CustodyContext, entrusted: Sequence[Entrusted]) -> Sequence[Exception | None]:
        """For each order, in their sequence, what ``accept`` would raise for it, or None where it would return.

        A fault of one is no other's. What concerns all of them may be raised: then each is asked for by ``accept``.
        """
