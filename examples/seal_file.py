"""Seal a file under a key that nobody holds (mpc-bls), and open it: alice's home, bob's home, the file."""

import sys
from pathlib import Path

import dta

with dta.Client(sys.argv[1]) as alice, dta.Client(sys.argv[2]) as bob:
    order = alice.orders.place(Path(sys.argv[3]).read_bytes(), authority="safe", beneficiary="bob")
    print(f"sealed, and {order.status} at once: {order.id}")
    secret = bob.orders.receive(bob.orders.request(order.id).id)
    Path(sys.argv[3] + ".opened").write_bytes(secret.reveal())
    bob.orders.done(secret)
