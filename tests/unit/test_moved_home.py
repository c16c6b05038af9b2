"""A home that is moved, and a terminal that goes away: the node goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast

import pytest

from dta.base.config import NodeConfig, load_node_config, write_node_config
from dta.base.home import Home, make_directory
from dta.base.keystore_config import KeystoreConfig
from dta.cli import mfa_serve
from dta.cli.session import Session
from dta.client.identity.profile import Profile, load_profile, save_profile
from dta.login.http import HttpConfig
from dta.node import supervisor, tendermint_config
from dta.node.supervisor import Supervisor
from dta.node.validator_key import KeyFiles
from tests.support.patience import PATIENCE_S


def keystore(home: Path) -> KeystoreConfig:
    return KeystoreConfig("software", path=home / "keystores/a.keys", pin_file=home / "pin")


def made(home: Path) -> NodeConfig:
    config = NodeConfig(
        home, "chain", bytes(32), keystore(home), "http://127.0.0.1:1", ("127.0.0.1", 8080), comet_binary="true"
    )
    make_directory(home)
    write_node_config(config)
    kept = keystore(home)
    outside = KeystoreConfig("software", path=Path("/elsewhere/b.keys"))
    save_profile(Home(home), Profile("a", bytes(32), ("fiduciary",), 0, 0, False, kept, outside, kept, kept))
    return config


def test_keystores_in_a_home_move_with_it_and_others_stay_where_they_are(tmp_path: Path) -> None:
    assert load_node_config(tmp_path / "old" if made(tmp_path / "old") else tmp_path).keystore == keystore(
        tmp_path / "old"
    )
    (tmp_path / "old").rename(tmp_path / "new")
    assert load_node_config(tmp_path / "new").keystore == keystore(tmp_path / "new")
    profile = load_profile(Home(tmp_path / "new"), "a")
    assert profile.keys == profile.node == keystore(tmp_path / "new")
    assert profile.next_keys.path == Path("/elsewhere/b.keys")


def test_cometbft_is_told_at_each_start_where_the_application_is(tmp_path: Path) -> None:
    made(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    config = load_node_config(tmp_path / "new")
    files = KeyFiles(config.comet_home)
    make_directory(files.key.parent)
    make_directory(files.sign_state.parent)
    tendermint_config.new_validator_key(files.key)
    tendermint_config.new_sign_state(files.sign_state)
    command = Supervisor(config)._comet_command()
    assert command[command.index("--proxy_app") + 1] == f"unix://{tmp_path}/new/run/abci.sock"


def test_a_hangup_does_not_stop_the_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(supervisor, "_say", said.append)
    found = Supervisor(made(tmp_path / "home"))
    monkeypatch.setattr(found, "_check", lambda: make_directory(found._config.run_dir))

    async def rooms() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)
        while not said:
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(found._stopping.wait(), PATIENCE_S)

    monkeypatch.setattr(found, "_until_there_is_room", rooms)
    asyncio.run(found.run())
    assert said == ["SIGHUP: the node goes on; SIGTERM stops it"]


def test_a_hangup_does_not_stop_an_authentication_server(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[signal.Signals | int] = []

    async def serve(http: object, started: object, ended: Coroutine[Any, Any, bool]) -> None:
        ended.close()
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)

    before = signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))
    monkeypatch.setattr(mfa_serve, "serve", serve)
    try:
        mfa_serve._run(Session(Home(Path("/nowhere")), False), cast(Any, None), HttpConfig(host="127.0.0.1", port=0))
        assert heard == []
    finally:
        signal.signal(signal.SIGHUP, before)
