"""The card with which somebody is proposed as a fiduciary: what AdmitFiduciary needs but the power. All public."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from abci_app import limits
from abci_app.crypto import ed25519, statements
from abci_app.pb.dta.v1 import governance_pb2
from dta.base.errors import UsageError
from dta.base.jsonfile import JsonFile

ADMISSION_FORMAT: Final = "dta-admission-1"
ADMISSION_FILE: Final = "admission.json"


@dataclass(frozen=True, slots=True)
class AdmissionCard:
    """``gid`` and ``identity``: 32 bytes. ``validator_key``: 32 bytes, Ed25519; ``proof``: its signature, 64 bytes.

    ``name`` is what its owner calls the identity: nothing proves it.
    """

    gid: bytes
    name: str
    identity: bytes
    validator_key: bytes
    proof: bytes

    def to_json(self) -> bytes:
        """The file."""
        value = {
            "format": ADMISSION_FORMAT,
            "gid": self.gid.hex(),
            "name": self.name,
            "identity": self.identity.hex(),
            "validator_key": b64encode(self.validator_key).decode("ascii"),
            "proof": b64encode(self.proof).decode("ascii"),
        }
        return (json.dumps(value, indent=2) + "\n").encode("ascii")

    @staticmethod
    def from_json(content: bytes, what: str, gid: bytes) -> AdmissionCard:
        """A card of the ledger ``gid``, its proof checked. Raises UsageError naming the field."""
        file = JsonFile.parse(content, what, ADMISSION_FORMAT)
        file.only("gid", "name", "identity", "validator_key", "proof")
        if file.hex("gid", 32) != gid:
            raise UsageError(f"{what} is for another ledger", hint="its owner makes it with this genesis")
        card = AdmissionCard(
            gid, file.text("name", limits.MAX_NAME_CHARS), file.hex("identity", limits.ID_BYTES),
            file.base64("validator_key"), file.base64("proof"),
        )  # fmt: skip
        statement = statements.validator_key_statement(gid, card.identity, card.validator_key, b"")
        if not ed25519.valid_public_key(card.validator_key) or not ed25519.verify(
            card.validator_key, statement, card.proof
        ):
            raise file.bad("proof", "the consensus key's signature for this identity and ledger")
        return card

    def message(self, power: int) -> governance_pb2.AdmitFiduciary:
        """What to propose."""
        return governance_pb2.AdmitFiduciary(
            identity=self.identity, validator_key=self.validator_key, proof=self.proof, power=power
        )
