"""A node's consensus key: which one it has, a new one in its place, and the vote moved to it (docs/spec/validators.md).

``config/priv_validator_key.json`` is the key that CometBFT signs with. Beside it there may be
``next_validator_key.json`` (made here, not known to be committed) or ``committed_validator_key.json`` (the ledger has
it: the next start of CometBFT takes it). Each step may be cut short by a crash and is finished by the next one.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass
from pathlib import Path

from nacl.signing import SigningKey

from abci_app.crypto import statements
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.records import VALIDATOR_KEY_OWNERS
from dta.base.errors import UsageError
from dta.base.home import make_directory, read_file, sync_directory
from dta.client.genesis.cometbft import address
from dta.client.ledger.ledger import Ledger
from dta.client.ledger.tx import Signer
from dta.node import tendermint_config

_MAX_KEY_FILE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Where CometBFT's home has its keys and sign-state."""

    comet_home: Path

    @property
    def key(self) -> Path:
        return self.comet_home / "config/priv_validator_key.json"

    @property
    def sign_state(self) -> Path:
        return self.comet_home / "data/priv_validator_state.json"

    @property
    def next(self) -> Path:
        """Made for a change that is not known to be committed."""
        return self.comet_home / "config/next_validator_key.json"

    @property
    def committed(self) -> Path:
        """The ledger has it; CometBFT does not use it yet."""
        return self.comet_home / "config/committed_validator_key.json"

    @property
    def retired(self) -> Path:
        return self.comet_home / "retired"


@dataclass(frozen=True, slots=True)
class Outcome:
    """``key``: the 32 bytes that vote now. ``height``: where that was committed, None where it was before.

    ``restart``: CometBFT must be started again to use it.
    """

    key: bytes
    height: int | None
    restart: bool


def public_key(path: Path) -> bytes:
    """The public half (32 bytes) of a key file. Raises UsageError."""
    return bytes(_read(path).verify_key)


def _read(path: Path) -> SigningKey:
    content = read_file(path, "a consensus key", _MAX_KEY_FILE_BYTES)
    try:
        value = json.loads(content)
        secret = b64decode(value["priv_key"]["value"], validate=True)
        if value["priv_key"]["type"] != "tendermint/PrivKeyEd25519" or len(secret) != 64:
            raise ValueError
        return SigningKey(secret[:32])
    except (ValueError, KeyError, TypeError, Base64Error, RecursionError):
        raise UsageError(f"{path} is not CometBFT's Ed25519 key file") from None


def rotate(ledger: Ledger, signer: Signer, files: KeyFiles, *, new_key: bool = False) -> Outcome:
    """Give the fiduciary's vote to the key that this node has; to a new one where ``new_key`` or this one is retired.

    ``signer``: the fiduciary's operator. Running it again finishes what was cut short. Raises UsageError,
    RefusedByLedger and what reads and submitting raise.
    """
    if tendermint_config.external_signer(files.comet_home):
        raise UsageError(
            "the consensus key is with an external signer: this node can't prove that it has a new one",
            hint="docs/howto/remote-signer.md, Another key",
        )
    if files.committed.exists():
        return Outcome(public_key(files.committed), None, restart=True)
    voting = ledger.fiduciary(signer.identity).validator_key
    if not files.next.exists():
        mine = _own_key(files)
        if mine == voting and not new_key:
            return Outcome(mine, None, restart=False)
        if ledger.prove(VALIDATOR_KEY_OWNERS.key(mine)).value is None:
            height = ledger.send(signer, _message(ledger, signer.identity, files.key, voting)).height
            return Outcome(mine, height, restart=False)
        tendermint_config.new_validator_key(files.next)
    following = public_key(files.next)
    sent = None
    if voting != following:
        sent = ledger.send(signer, _message(ledger, signer.identity, files.next, voting)).height
    files.next.rename(files.committed)
    sync_directory(files.committed.parent)
    return Outcome(following, sent, restart=True)


def possession(path: Path, gid: bytes, identity: bytes) -> tuple[bytes, bytes]:
    """The public half (32 bytes) of the key in ``path``, and its proof (64 bytes) that ``identity`` may be admitted
    with it. Raises UsageError."""
    key = _read(path)
    public = bytes(key.verify_key)
    return public, key.sign(statements.validator_key_statement(gid, identity, public, b"")).signature


def prepare_new(files: KeyFiles) -> Path:
    """Make the key that will take the place of this node's, once the ledger has it; the one that was made already.

    Raises UsageError.
    """
    if tendermint_config.external_signer(files.comet_home):
        raise UsageError(
            "the consensus key is with an external signer", hint="docs/howto/remote-signer.md, Another key"
        )
    if not files.next.exists():
        tendermint_config.new_validator_key(files.next)
    return files.next


def _own_key(files: KeyFiles) -> bytes:
    if not files.key.exists():
        raise UsageError(
            f"there is no consensus key at {files.key}",
            hint="with a signer of its own (priv_validator_laddr), the new key's proof is the signer's to make",
        )
    return public_key(files.key)


def _message(ledger: Ledger, identity: bytes, path: Path, old_key: bytes) -> tx_pb2.RotateValidatorKey:
    key = _read(path)
    public = bytes(key.verify_key)
    statement = statements.validator_key_statement(ledger.trust.gid, identity, public, old_key)
    return tx_pb2.RotateValidatorKey(key=public, proof=key.sign(statement).signature)


def take_committed(files: KeyFiles) -> bool:
    """Put the committed key in the place of the old one, before CometBFT starts; whether there was one.

    The old key goes to ``retired/<address>/`` with its sign-state. At no moment does a key stand there with the
    sign-state of another, or without any; cut short, the next call goes on. CometBFT must not run.
    """
    if not files.committed.exists():
        return False
    if files.key.exists():
        old = make_directory(files.retired / address(public_key(files.key)).hex())
        if files.sign_state.exists():
            files.sign_state.rename(old / files.sign_state.name)
            sync_directory(files.sign_state.parent)
        files.key.rename(old / files.key.name)
        sync_directory(files.key.parent)
    if not files.sign_state.exists():
        tendermint_config.new_sign_state(files.sign_state)
        sync_directory(files.sign_state.parent)
    files.committed.rename(files.key)
    sync_directory(files.key.parent)
    return True


def require_sign_state(files: KeyFiles) -> None:
    """Raise UsageError where a key stands without its sign-state, or one that says nothing: it would sign twice."""
    if not files.key.exists() or files.committed.exists():
        return
    try:
        tendermint_config.double_sign_check_height_blocks(files.sign_state)
    except FileNotFoundError:
        problem = "no sign-state"
    except (ValueError, LookupError, TypeError):
        problem = "a sign-state that is damaged"
    else:
        return
    raise UsageError(
        f"there is a consensus key but {problem}: starting could sign a height twice",
        hint="the key is lost with its sign-state: see docs/runbooks/restore-a-vote.md",
    )


def look_back_blocks(files: KeyFiles) -> int:
    """How far back CometBFT is to look for this key's own signatures at its next start.

    Without a key CometBFT makes one, with a sign-state of its own: what stands there of another counts for nothing.
    Raises UsageError as :func:`require_sign_state` does.
    """
    require_sign_state(files)
    if not files.key.exists():
        return tendermint_config.NEW_PLACE_CHECK_BLOCKS
    return tendermint_config.double_sign_check_height_blocks(files.sign_state)
