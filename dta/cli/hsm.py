"""``dta hsm``: make a keystore or a token ready, and find out what is wrong with one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dta.base.config import NODE_FILE, load_node_config
from dta.base.errors import EXIT_KEYSTORE, UsageError
from dta.base.home import make_directory
from dta.base.keystore_config import KeystoreConfig
from dta.cli.session import Session, session_of
from dta.client.identity.keys import place
from dta.client.identity.profile import load_profile
from dta.hsm.doctor import diagnose
from dta.hsm.keystore import CheckStep
from dta.hsm.pin import read_pin
from dta.hsm.provision import init_token
from dta.hsm.software import NOTICE, SoftwareKeystore


def init(
    context: typer.Context,
    pin_file: Annotated[Path | None, typer.Option(help="File with the new PIN or passphrase, mode 0600.")] = None,
    path: Annotated[Path | None, typer.Option(help="A software keystore's file, to be made.")] = None,
    token: Annotated[str, typer.Option(help="The label of a token, to be initialised.")] = "",
    module: Annotated[Path | None, typer.Option(help="The token's PKCS#11 module (SoftHSM2's).")] = None,
    so_pin_file: Annotated[Path | None, typer.Option(help="File with the security officer's PIN.")] = None,
) -> None:
    """Make a software keystore (--path), or initialise a blank token (--token). Nothing is ever overwritten."""
    session = session_of(context)
    if (path is None) == (not token):
        raise UsageError("a software keystore or a token?", hint="give --path or --token")
    if path is not None:
        config = place("software", path=path, module=None, token_label="", pin_file=pin_file)
        make_directory(path.absolute().parent)
        SoftwareKeystore.create(path.absolute(), read_pin(config, prompt=session.prompt_for(config)))
        session.talk(f"warning: {NOTICE}")
    else:
        config = place("softhsm", path=Path(), module=module, token_label=token, pin_file=pin_file)
        if so_pin_file is None or config.module is None:
            raise UsageError("a token needs the security officer's PIN", hint="give --so-pin-file")
        so_pin = read_pin(KeystoreConfig("", pin_file=so_pin_file))
        init_token(config.module, token, so_pin, read_pin(config, prompt=session.prompt_for(config)))
    session.show({"kind": config.kind, "ready": str(path or token)}, [f"ready: {path or token}"])


def doctor(
    context: typer.Context,
    final_try: Annotated[
        bool, typer.Option("--final-try", help="Try the PIN even if one more wrong one locks the token.")
    ] = False,
) -> None:
    """Walk every step that this home's keystores need, and say which one failed and what to do about it."""
    session = session_of(context)
    keystores = configured(session)
    if not keystores:
        raise UsageError(f"there is no keystore in {session.home.path}", hint="`dta identity create` makes some")
    reports = []
    for names, config in keystores:
        steps = diagnose(config, prompt=session.prompt_for(config), final_try=final_try, measured=True)
        if not any(name.endswith((": root", ": node key", "the node")) for name in names):
            # The keystore's own walk looks for a node's keys; an operator's token rightly has none.
            steps = [step for step in steps if step.name != "keys"]
        reports.append((names, where(config), steps))
    data = [
        {"keystore": place_, "used_for": names, "steps": [as_json(step) for step in steps]}
        for names, place_, steps in reports
    ]
    lines = []
    for names, place_, steps in reports:
        lines += [f"{place_} ({', '.join(names)})", *map(as_line, steps)]
    session.show({"keystores": data}, lines)
    if any(step.status == "failure" for _, _, steps in reports for step in steps):
        raise typer.Exit(EXIT_KEYSTORE)


def configured(session: Session) -> list[tuple[list[str], KeystoreConfig]]:
    """Every keystore of this home, once, with what it is used for. ``--identity`` narrows it to that identity's."""
    uses: dict[KeystoreConfig, list[str]] = {}

    def use(config: KeystoreConfig | None, what: str) -> None:
        if config is not None and what not in uses.setdefault(config, []):
            uses[config].append(what)

    names = [session.identity] if session.identity else session.home.profile_names()
    for name in names:
        profile = load_profile(session.home, name)
        use(profile.keys, f"{name}: current key")
        use(profile.next_keys, f"{name}: next key")
        use(profile.root, f"{name}: root")
        use(profile.node, f"{name}: node key")
    if (session.home.path / NODE_FILE).exists() and not session.identity:
        use(load_node_config(session.home.path).keystore, "the node")
    return [(what, config) for config, what in uses.items()]


def where(config: KeystoreConfig) -> str:
    """A keystore's place in words."""
    if config.token_label is not None:
        return f"{config.kind} token {config.token_label}"
    return f"{config.kind} {config.path}"


def as_json(step: CheckStep) -> dict[str, str]:
    """A step as JSON."""
    return {"name": step.name, "status": step.status, "detail": step.detail, "advice": step.advice}


def as_line(step: CheckStep) -> str:
    """A step as a line."""
    return f"  {step.status:<8} {step.name}: {step.detail}" + (f"\n           {step.advice}" if step.advice else "")
