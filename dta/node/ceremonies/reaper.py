"""Destroys the HSM keys of ceremonies and vaults that are over: never too early, and surely at last.

A *deal* key goes once its dealing is committed: with it a dealer could derive its sub-dealing again and subtract back
to its old share. A *receive* key goes when its attempt fails, or when a later epoch has taken over and this node has
seen that its own share of that epoch opens (docs/spec/authority.md). A *vault's* key goes when the vault is closed; the
job that attests it does that first, but a backup may bring a key back, or a token that was thought empty show one
again (docs/spec/custody.md). What is wanted is worked out from committed state each time, so a crash at any point
leaves nothing behind. A label that nothing of this ledger explains is another's: it is not touched.

A token is asked for all of its keys at the start, when it was opened anew, and so seldom else that it takes a
thousandth of the time at most: while it lists them it seals no share. In between it is asked for single keys: those of
this fiduciary's ceremonies, and of the vaults whose erasure it owes still.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_right
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from abci_app.authority import epochs, parties
from abci_app.pb.dta.v1 import authority_pb2 as pb
from abci_app.pb.dta.v1 import custody_pb2
from abci_app.state.due import DueKind
from abci_app.state.indexes import DUE, FIDUCIARY_CEREMONIES, FIDUCIARY_VAULTS, VAULT_ORDERS
from abci_app.state.records import AUTHORITIES, CEREMONIES, VAULT_KEYS, VAULTS
from abci_app.state.view import StateView
from dta.hsm import labels
from dta.hsm.errors import KeyAmbiguous, KeyIncomplete
from dta.hsm.keystore import Keystore
from dta.node.ceremonies import shares
from dta.node.ceremonies.locks import KEYS
from dta.node.hooks.tools import Pinned

_log = logging.getLogger(__name__)
VAULTS_AT_ONCE = 256
"""So many vaults' keys are looked at by one call, in turn."""
TIMES_AS_LONG = 1_000
"""Listing all keys took so long: this many times as long they are not listed again."""
_BEFORE_DISPUTE = (pb.CEREMONY_PHASE_CONSENT, pb.CEREMONY_PHASE_ACCEPT, pb.CEREMONY_PHASE_DEAL)
_ENDED = (pb.CEREMONY_PHASE_DONE, pb.CEREMONY_PHASE_FAILED)


@dataclass
class Reaper:
    """One node's. ``pin`` gives committed state at the head of the chain, or raises.

    ``found_late``: the vaults whose key was there, and was destroyed, after this node had attested its erasure.
    """

    gid: bytes
    fiduciary: bytes
    pin: Callable[[], AbstractContextManager[Pinned]]
    monotonic_s: Callable[[], float] = time.monotonic
    trouble: str = ""
    found_late: tuple[bytes, ...] = ()
    _keystore: Keystore | None = None
    _list_again_s: float = 0.0
    _names: dict[str, bytes] = field(default_factory=dict)
    _known: set[bytes] = field(default_factory=set)
    _is_new_list: bool = False
    _ceremonies: set[str] = field(default_factory=set)
    """Labels of keys that are there."""
    _awaited: set[str] = field(default_factory=set)
    """Labels of keys that may be made still, or may have been made."""
    _vaults: dict[str, bytes] = field(default_factory=dict)
    _strangers: set[str] = field(default_factory=set)
    _listed: list[str] = field(default_factory=list)
    _not_looked_at: int = 0
    _turn: str = ""

    def reap(self, keystore: Keystore) -> list[str]:
        """Destroy what is not wanted any more: its labels. ``trouble`` says which old keys stay, and why.

        Raises NotAtHead, StateUnavailable, StateNotProved, KeystoreError.
        """
        began_s = self.monotonic_s()
        is_time = keystore is not self._keystore or began_s >= self._list_again_s
        if is_time:
            self._list(keystore)
        try:
            # No job makes a key or deals with one between what is read here and what is destroyed.
            with KEYS, self.pin() as now:
                self._learn_vaults(now.view)
                return [*self._reap_ceremonies(keystore, now), *self._reap_vaults(keystore, now)]
        finally:
            if is_time:
                ended_s = self.monotonic_s()
                self._list_again_s = ended_s + TIMES_AS_LONG * (ended_s - began_s)

    def _list(self, keystore: Keystore) -> None:
        held = keystore.labels()
        self._keystore, self._is_new_list = keystore, True
        self._ceremonies = {label for label in held if label.startswith(("receive-", "deal-"))}
        self._listed = [label for label in held if label.startswith("vault-") and label not in self._strangers]
        self._not_looked_at = len(self._listed)

    def _reap_ceremonies(self, keystore: Keystore, now: Pinned) -> list[str]:
        self._learn_ceremonies(now.view)
        for label in sorted(self._awaited):
            if label in self._ceremonies or _is_there(keystore, label):
                self._awaited.discard(label)
                self._ceremonies.add(label)
            elif CEREMONIES.get(now.view, self._names[label]).phase in _ENDED:
                self._awaited.discard(label)
        self.trouble = ""
        # What seems to be over is looked at once more, proved: a key that is gone is gone for good.
        gone = [
            label
            for label in sorted(self._ceremonies)
            if label in self._names
            and all(self._is_over(keystore, view, label) for view in (now.view, now.proven))
        ]
        for label in gone:
            keystore.destroy(label)
            self._ceremonies.discard(label)
        return gone

    def _reap_vaults(self, keystore: Keystore, now: Pinned) -> list[str]:
        suspects = {
            label: self._vaults[label]
            for label in self._next_in_turn()
            if label in self._vaults and not FIDUCIARY_VAULTS.exists(now.view, self.fiduciary, self._vaults[label])
        }
        owed = DUE.entries(now.view, self.fiduciary, DueKind.ERASE_VAULT, limit=VAULTS_AT_ONCE)
        suspects |= {labels.vault(self.gid, vault): vault for _, _, vault in owed}
        # What is there now was there after all that this state knows: an erasure under way is not taken for a late one.
        gone = [
            label
            for label, vault in suspects.items()
            if self._is_closed(now.view, vault) and _is_there(keystore, label) and self._is_closed(now.proven, vault)
        ]
        for label in gone:
            vault = suspects[label]
            record = VAULT_KEYS.find(now.proven, vault, self.fiduciary)
            attested = record is not None and record.erased_height and not record.keystore_replaced
            if keystore.destroy(label) and attested:
                _log.error("the key of vault %s was there after its erasure was attested: destroyed now", vault.hex())
                self.found_late = tuple(dict.fromkeys((*self.found_late, vault)))
        return gone

    def _next_in_turn(self) -> list[str]:
        """The next ones after those that were looked at last, by name, after the last the first; each once a list."""
        start = bisect_right(self._listed, self._turn)
        chosen = (self._listed[start:] + self._listed[:start])[: min(VAULTS_AT_ONCE, self._not_looked_at)]
        self._not_looked_at -= len(chosen)
        self._turn = chosen[-1] if chosen else self._turn
        return chosen

    def _learn_vaults(self, view: StateView) -> None:
        """Which vault each label of a new list is of. A key is made for a vault that is on the ledger, so what none
        explains is another's for good."""
        if not self._is_new_list:
            return
        unknown = {label for label in self._listed if label not in self._vaults and label not in self._strangers}
        if unknown:
            open_ones = {labels.vault(self.gid, id_): id_ for _, id_ in FIDUCIARY_VAULTS.entries(view, self.fiduciary)}
            self._vaults |= {label: vault for label, vault in open_ones.items() if label in unknown}
            unknown -= open_ones.keys()
        if unknown:
            every = {labels.vault(self.gid, vault.id): vault.id for vault in VAULTS.all(view)}
            self._vaults |= {label: vault for label, vault in every.items() if label in unknown}
            self._strangers |= unknown - every.keys()

    def _is_closed(self, view: StateView, vault: bytes) -> bool:
        record = VAULTS.get(view, vault)
        return (
            record.status == custody_pb2.VAULT_STATUS_CLOSED
            and self.fiduciary in record.fiduciaries
            and not VAULT_ORDERS.has_any(view, vault)
        )

    def _learn_ceremonies(self, view: StateView) -> None:
        """The labels of every attempt that this fiduciary was a party of. Their hashes are taken once."""
        for _, ceremony in FIDUCIARY_CEREMONIES.entries(view, self.fiduciary):
            if ceremony in self._known:
                continue
            self._known.add(ceremony)
            its = [labels.receive(self.gid, ceremony), labels.deal(self.gid, ceremony)]
            self._names.update(dict.fromkeys(its, ceremony))
            if not self._is_new_list or CEREMONIES.get(view, ceremony).phase not in _ENDED:
                self._awaited.update(its)
        self._is_new_list = False

    def _is_over(self, keystore: Keystore, view: StateView, label: str) -> bool:
        ceremony = CEREMONIES.get(view, self._names[label])
        party = parties.find(view, ceremony.id, self.fiduciary)
        if party is None:
            return False
        if label == labels.deal(self.gid, ceremony.id):
            return bool(party.dealt_height) or ceremony.phase not in _BEFORE_DISPUTE
        return self._receives_no_more(keystore, view, ceremony, party)

    def _receives_no_more(
        self, keystore: Keystore, view: StateView, ceremony: pb.CeremonyRecord, party: pb.CeremonyParty
    ) -> bool:
        if ceremony.phase == pb.CEREMONY_PHASE_FAILED:
            return True
        if ceremony.phase != pb.CEREMONY_PHASE_DONE:
            return False
        if not party.public_share:
            return True  # it lost its seat: what it received is no share of the key's epoch
        authority = AUTHORITIES.get(view, ceremony.authority)
        if authority.epoch <= ceremony.epoch:
            return False
        if epochs.member_of(view, authority.id, authority.epoch, self.fiduciary) is None:
            return True
        try:
            shares.share_of(keystore, view, self.gid, self.fiduciary, authority.id, authority.epoch)
        except shares.ShareUnusable as error:
            self.trouble = f"the key of an old epoch stays: {error}"
            return False
        return True


def _is_there(keystore: Keystore, label: str) -> bool:
    """Whether anything is under the label: twins, or half a key, are to be destroyed like a whole one."""
    try:
        return keystore.has_prf_key(label)
    except (KeyAmbiguous, KeyIncomplete):
        return True
