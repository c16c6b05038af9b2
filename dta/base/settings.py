"""What may stand in each configuration file of ours: every setting with its type, its bounds and what it means.

The one declaration: files are read by it (:func:`checked`), and ``dta config check``, ``show`` and ``explain`` speak
from it. pydantic is loaded with this module, so it is imported where a file is read, and not to list commands (ADR 18).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from abci_app import limits, text
from dta.base import address
from dta.base.config import ADDRESS_UPLOADS_PER_MINUTE, IDENTITY_UPLOADS_PER_MINUTE, RPC_UNITS_PER_MINUTE
from dta.base.errors import JsonValue, UsageError
from dta.base.keystore_config import DEFAULT_SESSIONS

MAX_TEXT_CHARS = 4_096
MAX_STATE_AGE_S = 86_400
MAX_CONCURRENCY = 256
_HEX = re.compile(r"[0-9a-f]*")
_SCHEMES = ("http", "https")


def _plain(value: str) -> str:
    if any(ord(char) < 0x20 or ord(char) == 0x7F or char in '"\\' for char in value):
        raise ValueError("a quote, backslash or control character can't stand in it")
    return value


def _id(value: str) -> str:
    if not _HEX.fullmatch(value) or len(value) != 2 * limits.ID_BYTES:
        raise ValueError(f"it has {2 * limits.ID_BYTES} lower-case hex digits")
    return value


def _chain_id(value: str) -> str:
    if value and not text.is_chain_id(value, limits.MAX_CHAIN_ID_CHARS):
        raise ValueError(f"it has letters, digits and -._, at most {limits.MAX_CHAIN_ID_CHARS}")
    return value


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("its host or port is none") from None
    if parts.scheme not in _SCHEMES or not parts.hostname or port == 0 or "@" in value or not value.isprintable():
        raise ValueError("it is http:// or https://, host and port")
    bracketed = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    address.split(f"{bracketed}:{port or 1}")
    return value


def _address(value: str) -> str:
    address.split(value)
    return value


def _listen(value: str) -> str:
    """As CometBFT has addresses: ``tcp://host:port``, or a unix socket."""
    if value.startswith("unix:///"):
        return value
    if not value.startswith("tcp://"):
        raise ValueError("it is tcp://host:port, or unix:///path")
    address.split(value.removeprefix("tcp://"))
    return value


def _ip_address(value: str) -> str:
    return str(ip_address(value))


def _or_none(check: Any) -> Any:
    return lambda value: check(value) if value else value


def _tcp(value: str) -> str:
    if not value.startswith("tcp://"):
        raise ValueError("it is tcp://host:port")
    return _listen(value)


Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS), AfterValidator(_plain)]
Named = Annotated[Text, Field(min_length=1)]
Id = Annotated[str, AfterValidator(_id)]
ChainId = Annotated[str, AfterValidator(_chain_id)]
Url = Annotated[Text, AfterValidator(_url)]
Listen = Annotated[Text, AfterValidator(_listen)]
Tcp = Annotated[Text, AfterValidator(_tcp)]
Address = Annotated[Text, AfterValidator(_address)]
IpAddress = Annotated[Text, AfterValidator(_ip_address)]
UrlOrNone = Annotated[Text, AfterValidator(_or_none(_url))]
AddressOrNone = Annotated[Text, AfterValidator(_or_none(_address))]
ListenOrNone = Annotated[Text, AfterValidator(_or_none(_listen))]
Role = Literal["principal", "fiduciary", "beneficiary"]


def _setting(meant: str, says: str, default: Any = ..., **bounds: Any) -> Any:
    """A setting. ``meant``: what may stand there; ``says``: what it does. No default: it has to be there."""
    return Field(default, description=says, json_schema_extra={"meant": meant}, **bounds)


def _number(least: int, most: int, says: str, default: Any = ...) -> Any:
    return _setting(f"a whole number, {least} to {most}", says, default, ge=least, le=most)


class Table(BaseModel):
    """A table of TOML: nothing in it that is not declared, and nothing converted (``"5"`` and 5.0 are no 5)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Keystore(Table):
    """A ``[keystore]`` table. Relative paths are under the directory that the file is in."""

    kind: Named = _setting("software, pkcs11, or one that a package adds", "which sort of keystore it is")
    path: Named | None = _setting("a path", "a software keystore's file", None)
    module: Named | None = _setting("a path", "the PKCS#11 module: the token's library", None)
    token_label: Named | None = _setting("text", "the token's label", None)
    pin_file: Named | None = _setting(
        "a path", "the file, mode 0600, that holds the PIN or passphrase; a node's keystore needs one", None
    )
    sessions: int = _number(
        1, MAX_CONCURRENCY,
        "how many sessions a process has with a PKCS#11 token at most, each used by one thread at a time",
        DEFAULT_SESSIONS,
    )  # fmt: skip


MAX_PROXIES = 64
MAX_UNITS_PER_MINUTE = 10_000_000
MAX_UPLOADS_PER_MINUTE = 1_000_000


class Gateway(Table):
    """The public door: what peers and clients reach of this node, and nothing else of it."""

    bind: Address = _setting("host:port", "where this node's door listens")
    tls_certificate: Named | None = _setting(
        "a path, or nothing", "a PEM file: where it is named the door speaks TLS itself; read again when it changes",
        None,
    )  # fmt: skip
    tls_key: Named | None = _setting("a path, or nothing", "the certificate's key, a PEM file without a password", None)
    trusted_proxies: list[IpAddress] = _setting(
        "a list of addresses", "proxies whose X-Forwarded-For says who asks", [], max_length=MAX_PROXIES
    )
    fiduciary_addresses: list[IpAddress] = _setting(
        "a list of addresses", "addresses beside those of their gateways from which fiduciaries fetch blocks", [],
        max_length=MAX_PROXIES,
    )  # fmt: skip
    rpc_units_per_minute: int = _number(
        60, MAX_UNITS_PER_MINUTE, "what calls of /rpc may cost for each address: 1 for a header, 5 for a query",
        RPC_UNITS_PER_MINUTE,
    )  # fmt: skip
    identity_uploads_per_minute: int = _number(
        1, MAX_UPLOADS_PER_MINUTE, "signed uploads of each identity", IDENTITY_UPLOADS_PER_MINUTE
    )
    address_uploads_per_minute: int = _number(
        1, MAX_UPLOADS_PER_MINUTE, "uploads tried from each address", ADDRESS_UPLOADS_PER_MINUTE
    )
    socket: Named = _setting(
        "a path", "where agent and door meet; outside this home, its directory's group may connect", "run/gateway.sock"
    )
    start_door: bool = _setting(
        "true or false", "whether `dta start` runs the door too; if not, somebody runs `dta door`", True
    )

    ca_file: Named | None = _setting(
        "a path, or nothing", "a PEM file: the authority of the others' certificates, in place of the system's", None
    )

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> Gateway:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        return self


class Blocks(Table):
    """Where envelopes and documents are kept."""

    store: Literal["embedded", "kubo"] = _setting(
        "embedded or kubo", "files below this directory, or a Kubo", "embedded"
    )
    kubo_api: UrlOrNone = _setting("a URL, or nothing", "the Kubo's RPC address; needed where it is the store", "")
    kubo_binary: Text = _setting(
        "a program, or nothing", "where one is named, `dta start` runs it as this node's own Kubo", ""
    )
    kubo_gateway: AddressOrNone = _setting("host:port, or nothing", "where that Kubo's own gateway listens", "")

    @model_validator(mode="after")
    def _kubo_has_an_api(self) -> Blocks:
        if self.store == "kubo" and not self.kubo_api:
            raise ValueError("where the store is kubo, kubo_api says where it is")
        return self


class Hooks(Table):
    """How the agent acts."""

    max_state_age_s: int = _number(
        1, MAX_STATE_AGE_S, "seconds: a node whose last block is older acts on nothing, for it may be cut off", 60
    )
    concurrency: int = _number(
        1, MAX_CONCURRENCY, "in how many threads the agent uses the keystore: `dta hsm doctor` says how many gain", 4
    )


class NodeFile(Table):
    """``node.toml``: a fiduciary's node. Nothing in it is consensus, nothing is secret."""

    chain_id: ChainId = _setting("a chain's id, or nothing before founding", "which ledger this node is of")
    identity: Id = _setting("64 hex digits", "the fiduciary's id")
    rpc_url: Url = _setting("a URL, such as http://127.0.0.1:26657", "this node's own CometBFT")
    comet_binary: Named = _setting("a program", "CometBFT", "cometbft")
    keystore: Keystore = _setting("a table", "the token with the node key, the root and the vaults' keys")
    gateway: Gateway = _setting("a table", "the public door: what peers and clients reach of this node")
    blocks: Blocks = _setting("a table", "where envelopes and documents are kept", Blocks())
    hooks: Hooks = _setting("a table", "how the agent acts", Hooks())


class ClientFile(Table):
    """``client.toml``: which ledger, which nodes to ask, whose name to act in."""

    chain_id: ChainId = _setting("a chain's id", "the ledger's name")
    gid: Id = _setting("64 hex digits", "the ledger's genesis id: what two people compare")
    nodes: list[Url] = _setting(
        "a list of URLs", "fiduciaries' doors to ask, in this order: the next where one fails", [], max_length=64
    )
    rpc: list[Url] = _setting(
        "a list of URLs", "CometBFT's RPC of nodes of one's own, asked before the doors", [], max_length=64
    )
    ca_file: Named | None = _setting(
        "a path, or nothing", "a PEM file: the authority of the doors' certificates, in place of the system's", None
    )
    identity: Text = _setting("a local name, or nothing", "whose name to act in where --identity is not given", "")

    @model_validator(mode="after")
    def _somebody_is_asked(self) -> ClientFile:
        if not self.nodes and not self.rpc:
            raise ValueError("nodes, or rpc, says whom to ask")
        return self


class CometFile(Table):
    """``comet.toml``: what of CometBFT's configuration is this node's own."""

    moniker: Named = _setting("text", "what this node calls itself to its peers")
    rpc_laddr: Listen = _setting("tcp://host:port", "where CometBFT's RPC listens; not for strangers")
    p2p_laddr: Tcp = _setting("tcp://host:port", "where CometBFT listens for the other nodes")
    external_address: Address = _setting("host:port", "where the other nodes reach this one")
    private_network: bool = _setting(
        "true or false", "whether peers may have private addresses and share one (allow_duplicate_ip)"
    )
    priv_validator_laddr: ListenOrNone = _setting(
        "tcp://host:port, or nothing", "where an external signer connects that has the consensus key", ""
    )


class ProfileFile(Table):
    """``identities/NAME/profile.toml``: an identity of this home, and where its keys are. Written by commands alone."""

    name: Named = _setting("a local name", "what this home calls it")
    identity: Id = _setting("64 hex digits", "its id")
    roles: list[Role] = _setting("a list of principal, fiduciary, beneficiary", "what it is for")
    generation: int = _number(0, 2**31 - 1, "how often it was rotated")
    derived: int = _number(0, 2**31 - 1, "which of the root's derived keys are its own")
    founding: bool = _setting("true or false", "whether its document committed to the next key before genesis")
    keys: Keystore = _setting("a table", "where its transaction key is")
    next: Keystore = _setting("a table", "where its next one is: keep it apart")
    root: Keystore = _setting("a table", "where the root of its BLS and HPKE keys is")
    node: Keystore | None = _setting("a table", "a fiduciary's: where its node key is", None)


FILES: Mapping[str, type[Table]] = {
    "node.toml": NodeFile,
    "client.toml": ClientFile,
    "comet.toml": CometFile,
    "profile.toml": ProfileFile,
}
"""The configuration files of a home, by name; ``profile.toml`` is in each ``identities/NAME/``."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One declared setting. ``key``: dotted, ``hooks.concurrency``. ``default``: None where it has to be there."""

    file: str
    key: str
    meant: str
    says: str
    is_required: bool
    default: JsonValue
    table: type[Table] | None


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one setting of a file. ``meant``: what may stand there, or what was probably meant."""

    key: str
    wrong: str
    meant: str

    def __str__(self) -> str:
        return f"{self.key}: {self.wrong}" if self.key else self.wrong


def _table_of(annotation: Any) -> type[Table] | None:
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, Table):
            return one
    return None


def declared(file: str, model: type[Table] | None = None, before: str = "") -> Iterator[Setting]:
    """Every setting of ``file``, tables before what is in them."""
    for name, field in (model or FILES[file]).model_fields.items():
        extra = field.json_schema_extra
        assert isinstance(extra, dict)
        table = _table_of(field.annotation)
        required = field.is_required()
        default = None if required or table is not None else field.default
        key = f"{before}{name}"
        yield Setting(file, key, str(extra["meant"]), field.description or "", required, default, table)
        if table is not None:
            yield from declared(file, table, f"{key}.")


T = TypeVar("T", bound=Table)


def problems(model: type[Table], table: Mapping[str, Any]) -> list[Problem]:
    """All that is wrong with ``table``; nothing where it is as declared."""
    try:
        model.model_validate(table)
    except ValidationError as error:
        known = {setting.key: setting for setting in declared("", model)}
        return [_problem(dict(found), known) for found in error.errors(include_url=False, include_input=True)]
    return []


def checked(model: type[T], table: Mapping[str, Any], path: Path) -> T:
    """``table`` as ``model`` declares it. Raises UsageError with the file, the key and what was meant."""
    try:
        return model.model_validate(table)
    except ValidationError:
        found = problems(model, table)
    more = f" (and {len(found) - 1} more: `dta config check`)" if len(found) > 1 else ""
    listed: list[JsonValue] = [{"key": one.key, "wrong": one.wrong, "meant": one.meant} for one in found]
    raise UsageError(
        f"{path}: {found[0]}{more}", hint=found[0].meant, data={"file": str(path), "problems": listed}
    )


def _problem(found: dict[str, Any], known: Mapping[str, Setting]) -> Problem:
    # What stands there is never repeated: it may be a PIN, where a file that holds one was to be named.
    key = ".".join(str(part) for part in found["loc"] if not isinstance(part, int))
    setting = known.get(key)
    if found["type"] == "extra_forbidden":
        return Problem(key, "there is no such setting", _nearest(key, known))
    meant = f"it is {setting.meant}; `dta config explain {key}`" if setting else ""
    if found["type"] == "missing":
        return Problem(key, "the setting is missing", meant)
    if found["type"] == "value_error":
        return Problem(key, str(found["ctx"]["error"]), meant)
    return Problem(key, f"not {setting.meant}" if setting else "not what may stand there", meant)


def _nearest(key: str, known: Mapping[str, Setting]) -> str:
    before, _, name = key.rpartition(".")
    beside = {one.rpartition(".")[2]: one for one in known if one.rpartition(".")[0] == before}
    near = difflib.get_close_matches(name, beside, n=1, cutoff=0.6)
    if near:
        return f"did you mean {beside[near[0]]}?"
    elsewhere = [one for one in known if one.rpartition(".")[2] == name]
    if elsewhere:
        return f"did you mean {elsewhere[0]}?"
    return f"there are {', '.join(sorted(beside))}" if beside else "`dta config explain` lists the settings"
