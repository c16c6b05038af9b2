"""The options with which a command is told where an identity's keys go, and what becomes of them."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from dta.base.keystore_config import KeystoreConfig
from dta.client.identity.create import KeystorePlan
from dta.client.identity.keys import place

Hsm: TypeAlias = Annotated[
    str, typer.Option("--hsm", help="Where keys go: software, softhsm, pkcs11, or a kind that a package adds.")
]
Module: TypeAlias = Annotated[Path | None, typer.Option("--module", help="The token's PKCS#11 module.")]
OwnModule: TypeAlias = Annotated[Path | None, typer.Option(help="Its PKCS#11 module.")]
OwnToken: TypeAlias = Annotated[str, typer.Option(help="Its token's label.")]
OwnPinFile: TypeAlias = Annotated[Path | None, typer.Option(help="Its PIN file.")]
ReuseKeys: TypeAlias = Annotated[
    bool, typer.Option("--reuse-keys", help="Take the keys that are there: a lost home made again.")
]


@dataclass(frozen=True, slots=True)
class Choice:
    """What was said about one keystore; empty or None where nothing was."""

    kind: str = ""
    module: Path | None = None
    token: str = ""
    pin_file: Path | None = None

    def place(self, role: str, name: str, directory: Path, common: Choice) -> KeystoreConfig:
        """The keystore of ``name``'s ``role``: what was said of it, else of all, else a file or token by its name."""
        return place(
            self.kind or common.kind or "software",
            path=directory / f"{name}-{role}.keys",
            module=self.module or common.module,
            token_label=self.token or f"{name}-{role}",
            pin_file=self.pin_file or common.pin_file,
        )


@dataclass(frozen=True, slots=True)
class Common:
    """What is said about every keystore that nothing of its own is said about."""

    hsm: Hsm = "software"
    module: Module = None
    pin_file: Annotated[
        Path | None, typer.Option(help="File with the PIN or passphrase of every keystore, mode 0600.")
    ] = None

    @property
    def choice(self) -> Choice:
        """All of it: there is no token that is everybody's."""
        return Choice(self.hsm, self.module, "", self.pin_file)


@dataclass(frozen=True, slots=True)
class CommonTokens(Common):
    """The same, of keystores that outlived a disk: tokens, where nothing is said."""

    hsm: Hsm = "softhsm"


@dataclass(frozen=True, slots=True)
class _Own:
    """What is said about one keystore of its own: the fields of a Choice, in its order, under names of their own."""

    @property
    def choice(self) -> Choice:
        """All of it."""
        return Choice(*astuple(self))


@dataclass(frozen=True, slots=True)
class Operator(_Own):
    """The keystore of the current key."""

    operator_keystore: Annotated[str, typer.Option(help="For the current key, as --hsm.")] = ""
    operator_module: OwnModule = None
    operator_token: OwnToken = ""
    operator_pin_file: OwnPinFile = None


@dataclass(frozen=True, slots=True)
class Next(_Own):
    """The keystore of the next key."""

    next_keystore: Annotated[str, typer.Option(help="For the next key, as --hsm.")] = ""
    next_module: OwnModule = None
    next_token: OwnToken = ""
    next_pin_file: OwnPinFile = None


@dataclass(frozen=True, slots=True)
class Node(_Own):
    """The keystore of a fiduciary's node."""

    node_keystore: Annotated[str, typer.Option(help="For the node's keys, as --hsm.")] = ""
    node_module: OwnModule = None
    node_token: OwnToken = ""
    node_pin_file: OwnPinFile = None


def planned(
    name: str, directory: Path, common: Common, operator: Operator, following: Next, node: Node | None = None
) -> KeystorePlan:
    """The keystores of a new identity ``name``, as the options say; files go into ``directory``."""
    everywhere = common.choice
    return KeystorePlan(
        operator.choice.place("operator", name, directory, everywhere),
        following.choice.place("next", name, directory, everywhere),
        None if node is None else node.choice.place("node", name, directory, everywhere),
    )
