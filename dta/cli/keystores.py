"""The options with which a command is told where an identity's keys go, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from dta.hsm.config import KeystoreConfig
from dta.identity.keys import place

Hsm: TypeAlias = Annotated[str, typer.Option("--hsm", help="Where keys go: software, softhsm or pkcs11.")]
Module: TypeAlias = Annotated[Path | None, typer.Option("--module", help="The token's PKCS#11 module.")]
PinFile: TypeAlias = Annotated[
    Path | None, typer.Option("--pin-file", help="File with the PIN or passphrase of every keystore, mode 0600.")
]
OperatorKind: TypeAlias = Annotated[str, typer.Option("--operator-keystore", help="For the current key, as --hsm.")]
OperatorModule: TypeAlias = Annotated[Path | None, typer.Option("--operator-module", help="Its PKCS#11 module.")]
OperatorToken: TypeAlias = Annotated[str, typer.Option("--operator-token", help="Its token's label.")]
OperatorPin: TypeAlias = Annotated[Path | None, typer.Option("--operator-pin-file", help="Its PIN file.")]
NextKind: TypeAlias = Annotated[str, typer.Option("--next-keystore", help="For the next key, as --hsm.")]
NextModule: TypeAlias = Annotated[Path | None, typer.Option("--next-module", help="Its PKCS#11 module.")]
NextToken: TypeAlias = Annotated[str, typer.Option("--next-token", help="Its token's label.")]
NextPin: TypeAlias = Annotated[Path | None, typer.Option("--next-pin-file", help="Its PIN file.")]
NodeKind: TypeAlias = Annotated[str, typer.Option("--node-keystore", help="For the node's keys, as --hsm.")]
NodeModule: TypeAlias = Annotated[Path | None, typer.Option("--node-module", help="Its PKCS#11 module.")]
NodeToken: TypeAlias = Annotated[str, typer.Option("--node-token", help="Its token's label.")]
NodePin: TypeAlias = Annotated[Path | None, typer.Option("--node-pin-file", help="Its PIN file.")]
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
