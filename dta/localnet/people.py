"""People on a localnet: each with a home and an identity that a fiduciary's operator sponsored, by ``dta`` commands."""

from __future__ import annotations

import secrets

from dta.localnet.network import Network


def enrol(net: Network, name: str) -> str:
    """A client's home, and its identity, which the first fiduciary sponsors; the identity's id, in hex.

    The passphrase of its keystore is in a file under ``pins``. Raises CommandFailed.
    """
    home = net.client_home(name)
    home.mkdir(mode=0o700, parents=True)
    pin = net.root / "pins" / name
    pin.touch(mode=0o600)
    pin.write_text(secrets.token_hex(8) + "\n")
    urls = [argument for node in net.nodes() for argument in ("--node", net.door_url(node))]
    trusted = ["--ca", str(net.ca_file)] if net.ca_file else []
    net.dta(["init", "client", "--genesis", str(net.root / "genesis.json"), *urls, *trusted], home=home)
    request = home / "request.dta"
    net.dta(["identity", "create", "--name", name, "--pin-file", str(pin), "--out", str(request)], home=home)
    answer = net.dta_json(["identity", "sponsor", str(request)], home=net.home(0))
    identity: str = answer["identity"]
    return identity
