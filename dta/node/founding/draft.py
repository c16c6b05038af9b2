"""The files that founders exchange: a founder's card, the draft of a genesis, and what each signs (all public).

``founder.json`` -> ``draft.json`` -> ``signed.json`` from everybody -> ``genesis.json`` (docs/spec/genesis.md).
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf import json_format

from abci_app import canonical, limits, text
from abci_app.block import Genesis, Time, ValidatorUpdate
from abci_app.crypto import statements
from abci_app.errors import GenesisRefused
from abci_app.genesis import genesis_id
from abci_app.params import check_params, default_params
from abci_app.pb.dta.v1 import identity_pb2, params_pb2
from dta.base import address
from dta.base.errors import UsageError
from dta.base.jsonfile import JsonFile
from dta.client.genesis import genesis_file
from dta.client.genesis.genesis_file import GenesisFile, parse_time, rfc3339
from dta.client.identity import document

FOUNDER_FORMAT = "dta-founder-1"
DRAFT_FORMAT = "dta-genesis-draft-1"
SIGNED_FORMAT = "dta-genesis-signed-1"
MAX_FOUNDERS = 64
MAX_POWER = 1_000_000
NODE_ID = re.compile(r"[0-9a-f]{40}")
_HOST = re.compile(r"[A-Za-z0-9.-]+|[0-9a-fA-F:]+")


def is_place(text: str) -> bool:
    """Whether CometBFT can be told to dial it: ``host:port``, with nothing in it that would end a list of peers."""
    try:
        host, _ = address.split(text)
    except ValueError:
        return False
    return _HOST.fullmatch(host) is not None


@dataclass(frozen=True)
class Founder:
    """A founder's card: its document without proofs, its validator key (32 bytes) and power, where its node is.

    ``node_id``: CometBFT's (40 hex digits); ``p2p``: ``host:port``, as the others dial it. ``timeout_commit_ms``:
    the pace of the chain, which all founders must have agreed on.
    """

    document: identity_pb2.IdentityDocument
    validator_key: bytes
    power: int
    node_id: str
    p2p: str
    timeout_commit_ms: int

    @property
    def identity(self) -> bytes:
        """The founder's identity id."""
        return statements.identity_id(self.document)

    def to_object(self) -> dict[str, object]:
        """JSON's fields."""
        return {
            "name": self.document.name,
            "identity": self.identity.hex(),
            "document": b64encode(canonical.encode(self.document)).decode("ascii"),
            "validator_key": b64encode(self.validator_key).decode("ascii"),
            "power": self.power,
            "node_id": self.node_id,
            "p2p": self.p2p,
            "timeout_commit_ms": self.timeout_commit_ms,
        }

    def to_json(self) -> bytes:
        """The card's file."""
        return _json({"format": FOUNDER_FORMAT, **self.to_object()})

    @staticmethod
    def from_json(content: bytes, what: str) -> Founder:
        """A card. Raises UsageError naming the field."""
        return _founder(JsonFile.parse(content, what, FOUNDER_FORMAT))


def _founder(file: JsonFile) -> Founder:
    file.only("name", "identity", "document", "validator_key", "power", "node_id", "p2p", "timeout_commit_ms")
    try:
        found = canonical.decode(
            identity_pb2.IdentityDocument, file.base64("document"), limits.MAX_IDENTITY_ENVELOPE_BYTES
        )
    except canonical.NotCanonical:
        raise file.bad("document", "an identity document without proofs, in base64") from None
    if canonical.encode(found) != statements.document_without_proofs(found):
        raise file.bad("document", "a document without proofs")
    node_id, p2p = file.text("node_id"), file.text("p2p")
    if not NODE_ID.fullmatch(node_id):
        raise file.bad("node_id", "40 hex digits")
    if not is_place(p2p):
        raise file.bad("p2p", "host:port")
    founder = Founder(
        found, file.base64("validator_key"), file.number("power", 1, MAX_POWER), node_id, p2p,
        file.number("timeout_commit_ms", 1, 600_000),
    )  # fmt: skip
    if founder.identity != file.hex("identity", limits.ID_BYTES) or found.name != file.text("name"):
        raise file.bad("identity", "the identity and the name of the document")
    if len(founder.validator_key) != limits.ED25519_KEY_BYTES:
        raise file.bad("validator_key", "32 bytes in base64")
    return founder


@dataclass(frozen=True)
class Draft:
    """A genesis before its founders signed."""

    chain_id: str
    time_s: int
    params: params_pb2.Params
    founders: tuple[Founder, ...]

    @property
    def gid(self) -> bytes:
        """The genesis id: what every founder signs, and what the finished genesis will have. 32 bytes."""
        validators = tuple(ValidatorUpdate(founder.validator_key, founder.power) for founder in self.founders)
        genesis = Genesis(self.chain_id, Time(self.time_s), 1, validators, b"")
        return genesis_id(genesis, self.state({}), [founder.document for founder in self.founders])

    def state(self, blocks: Mapping[bytes, bytes]) -> params_pb2.GenesisState:
        """The application's state with these documents' blocks by identity id; empty where there is none."""
        state = params_pb2.GenesisState(params=self.params)
        for founder in self.founders:
            state.fiduciaries.add(
                document=blocks.get(founder.identity, b""), validator_key=founder.validator_key, power=founder.power
            )
        return state

    def founder(self, identity: bytes) -> Founder:
        """The founder of that identity. Raises UsageError."""
        for founder in self.founders:
            if founder.identity == identity:
                return founder
        raise UsageError(f"{identity.hex()} is no founder of this draft", hint="is it the right draft?")

    def to_json(self) -> bytes:
        """The draft's file."""
        return _json(
            {
                "format": DRAFT_FORMAT,
                "chain_id": self.chain_id,
                "genesis_time": rfc3339(self.time_s),
                "params": json_format.MessageToDict(self.params, preserving_proto_field_name=True),
                "founders": [founder.to_object() for founder in self.founders],
            }
        )

    @staticmethod
    def from_json(content: bytes, what: str) -> Draft:
        """A draft. Raises UsageError naming the field."""
        file = JsonFile.parse(content, what, DRAFT_FORMAT)
        file.only("chain_id", "genesis_time", "params", "founders")
        params = params_pb2.Params()
        try:
            json_format.ParseDict(file.table("params"), params)
        except json_format.ParseError:
            raise file.bad("params", "parameters that this version knows") from None
        founders = [_founder(entry) for entry in file.tables("founders", MAX_FOUNDERS)]
        return make_draft(file.text("chain_id"), parse_time(file.text("genesis_time")), params, founders)


def make_draft(chain_id: str, time_s: int, params: params_pb2.Params, founders: Sequence[Founder]) -> Draft:
    """A draft; founders come in the order of their identity ids, whoever names them. Raises UsageError."""
    if not text.is_chain_id(chain_id, limits.MAX_CHAIN_ID_CHARS):
        raise UsageError(f"a chain id has letters, digits and -._, at most {limits.MAX_CHAIN_ID_CHARS}")
    if not 1 <= len(founders) <= MAX_FOUNDERS:
        raise UsageError(f"1 to {MAX_FOUNDERS} fiduciaries found a consortium")
    try:
        check_params(params)
    except GenesisRefused as refused:
        raise UsageError(f"the {refused.field} can't be: {refused.reason}") from None
    ordered = sorted(founders, key=lambda founder: founder.identity)
    for what in ("identity", "validator_key", "node_id", "p2p"):
        if len({getattr(founder, what) for founder in ordered}) != len(ordered):
            raise UsageError(f"two founders have the same {what}", hint="one card of each founder")
    if len({founder.timeout_commit_ms for founder in ordered}) != 1:
        raise UsageError(
            "the founders have different paces: timeout_commit_ms", hint="agree on one, and make the cards again"
        )
    return Draft(chain_id, time_s, params, tuple(ordered))


def params_with(settings: Sequence[str]) -> params_pb2.Params:
    """The default parameters with ``name=value`` changed: numbers, and ``registration=open|sponsored``."""
    params = default_params()
    for name, value in settings_of(settings).items():
        setattr(params, name, value)
    return params


def settings_of(settings: Sequence[str]) -> dict[str, int]:
    """What ``name=value`` sets, as parameters hold it. Raises UsageError."""
    defaults = default_params()
    numbers = {field.name for field in defaults.DESCRIPTOR.fields if type(getattr(defaults, field.name)) is int}
    found: dict[str, int] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name == "registration" and value in ("open", "sponsored"):
            is_open = value == "open"
            found[name] = params_pb2.REGISTRATION_OPEN if is_open else params_pb2.REGISTRATION_SPONSORED
        elif name in numbers - {"registration"} and value.isascii() and value.isdigit() and len(value) < 16:
            found[name] = int(value)
        else:
            raise UsageError(
                f"not a parameter and its value: {setting!r}",
                hint="registration=open, registration=sponsored, or a number for: " + ", ".join(sorted(numbers)),
            )
    return found


@dataclass(frozen=True)
class Signed:
    """A founder's signature on a draft: its document's block with its proofs, made for ``gid``."""

    gid: bytes
    identity: bytes
    block: bytes

    def to_json(self) -> bytes:
        """The file."""
        return _json(
            {
                "format": SIGNED_FORMAT,
                "gid": self.gid.hex(),
                "identity": self.identity.hex(),
                "document": b64encode(self.block).decode("ascii"),
            }
        )

    @staticmethod
    def from_json(content: bytes, what: str) -> Signed:
        """The same from its file. Raises UsageError naming the field."""
        file = JsonFile.parse(content, what, SIGNED_FORMAT)
        file.only("gid", "identity", "document")
        return Signed(file.hex("gid", 32), file.hex("identity", limits.ID_BYTES), file.base64("document"))


def finish(draft: Draft, signatures: Sequence[Signed]) -> GenesisFile:
    """The genesis, of every founder's signature on this very draft. Raises UsageError naming who or what is wrong."""
    gid = draft.gid
    blocks: dict[bytes, bytes] = {}
    for signed in signatures:
        founder = draft.founder(signed.identity)
        who = f"{founder.document.name} ({signed.identity.hex()})"
        if signed.gid != gid:
            raise UsageError(f"{who} signed another draft", hint="everybody signs the same draft.json")
        try:
            read = document.check(signed.block, gid)
        except UsageError as error:
            raise UsageError(f"what {who} signed is not right: {error.message}", hint=error.hint) from None
        if statements.document_without_proofs(read.document) != canonical.encode(founder.document):
            raise UsageError(f"{who} signed another document than the draft's")
        if blocks.setdefault(signed.identity, signed.block) != signed.block:
            raise UsageError(f"{who} signed twice, differently", hint="take the latest, and only that")
    missing = [founder.document.name for founder in draft.founders if founder.identity not in blocks]
    if missing:
        raise UsageError(f"not signed yet by: {', '.join(missing)}", hint="each runs `dta genesis sign`")
    finished = genesis_file.write(draft.chain_id, draft.time_s, draft.state(blocks))
    if finished.gid != gid:
        raise UsageError("the finished genesis has another id than its draft")
    return finished


def _json(value: dict[str, object]) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode("ascii")
