"""The door as another user than the agent's, as docs/spec/door.md has it: it serves the node's blocks, and of the
node's home it can read nothing. It takes root to be three users."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from door_harness import CHAIN_ID, Comet, pretended_comet
from gateway_harness import BLOCK, CID
from test_door_process import configured, live

from dta.base.config import NodeConfig, load_node_config, write_node_config
from dta.base.home import make_directory, write_file
from tests.support.actors import Actor
from tests.support.gateway_process import LISTENS
from tests.support.keystore import software_keystore
from tests.support.other_users import OtherUsers, User, other_users
from tests.support.patience import PATIENCE_S

SHARED = 65_531
AGENT, DOOR, STRANGER = User(65_533, (SHARED,)), User(65_534, (SHARED,)), User(65_532)
SECRETS = ("node.keys", "pin")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root starts processes as other users: the agent's, the door's and a stranger's"
)

TRIES = """
import json, os, socket, sys
def tried(do):
    try:
        do()
    except OSError as error:
        return type(error).__name__
    return "done"
def connects(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)
def reads(path):
    os.listdir(path) if os.path.isdir(path) else open(path, "rb").close()
said = {path: tried(lambda: reads(path)) for path in sys.argv[2:]}
said["connects"] = tried(lambda: connects(sys.argv[1]))
print(json.dumps(said))
"""


@pytest.fixture
def users() -> Iterator[OtherUsers]:
    with other_users() as made:
        yield made


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that others may pass through, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def hand_over(path: Path, user: User) -> None:
    """To its user and that user's group; its rights are those it was made with."""
    for one in (path, *path.rglob("*")):
        os.chown(one, user.id, user.id)


def node_home(place: Path, rpc_url: str) -> NodeConfig:
    """The agent's home with its keys, as this program makes them, and the directory of the socket beside it."""
    shared = place / "shared"
    shared.mkdir()
    os.chown(shared, AGENT.id, SHARED)
    shared.chmod(0o2750)
    home = make_directory(place / "node")
    config = replace(
        configured(home, socket=shared / "gateway.sock", start_door=False), rpc_url=rpc_url, chain_id=CHAIN_ID
    )  # fmt: skip
    write_node_config(config)
    keys, pin = (home / name for name in SECRETS)
    software_keystore(keys, Actor("alpha")).close()
    write_file(pin, b"a passphrase")
    hand_over(home, AGENT)
    return config


def door_home(place: Path, node: NodeConfig) -> NodeConfig:
    """A home of the door's own, with a copy of ``node.toml`` and nothing else."""
    home = make_directory(place / "door")
    shutil.copy(node.home / "node.toml", home)
    hand_over(home, DOOR)
    return load_node_config(home)


def rights_of(pid: int) -> dict[str, list[str]]:
    lines = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: value.split() for name, value in lines}


def test_a_door_of_another_user_serves_the_node_s_blocks_and_can_read_nothing_of_its_home(
    users: OtherUsers, place: Path
) -> None:
    async def main() -> None:
        behind = await pretended_comet(Comet(blocks=[()]))
        node = node_home(place, "http://{}:{}".format(*behind.address))
        config = door_home(place, node)
        assert node.gateway_socket == config.gateway_socket
        arguments = ["-m", "tests.support.gateway_process", str(node.home), BLOCK.decode()]
        agent = users.begin(AGENT, arguments, stdout=subprocess.PIPE)
        assert agent.stdout is not None
        assert (await asyncio.to_thread(agent.stdout.readline)).decode().strip() == LISTENS
        door = users.begin(DOOR, ["-m", "dta.node.door.main", "--home", str(config.home)])
        assert await asyncio.to_thread(live, config, door)
        url = "http://{}:{}".format(*config.gateway_bind)
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE_S) as client:
            assert (await client.get(f"/ipfs/{CID}?format=raw")).content == BLOCK
            call = {"jsonrpc": "2.0", "id": 1, "method": "block", "params": {}}
            assert (await client.post("/rpc", json=call)).json()["result"] == {"said": "block"}
        rights = rights_of(door.pid)
        assert (rights["Uid"], rights["Gid"]) == ([str(DOOR.id)] * 4, [str(DOOR.id)] * 4)
        assert (rights["Groups"], int(rights["CapPrm"][0], 16)) == ([str(SHARED)], 0)
        opened = [str(one.readlink()) for one in Path(f"/proc/{door.pid}/fd").iterdir()]
        assert [one for one in opened if one.startswith(str(node.home))] == []
        await behind.stop()

    asyncio.run(main())
    sees_what_it_may(users, place)


def sees_what_it_may(users: OtherUsers, place: Path) -> None:
    """Tried with the very rights that the door's process has. The agent, who may, shows that there is what to read."""
    node, socket = place / "node", place / "shared" / "gateway.sock"
    paths = [str(node), str(node / "blocks"), *(str(node / name) for name in (*SECRETS, "node.toml"))]
    assert (socket.stat().st_gid, stat.S_IMODE(socket.stat().st_mode)) == (SHARED, 0o660)

    def tried(user: User) -> tuple[set[str], str]:
        said = json.loads(users.said(user, TRIES, str(socket), *paths))
        connects = said.pop("connects")
        return {said[path] for path in paths}, connects

    assert tried(AGENT) == ({"done"}, "done")
    assert tried(DOOR) == ({"PermissionError"}, "done")
    assert tried(STRANGER) == ({"PermissionError"}, "PermissionError")
