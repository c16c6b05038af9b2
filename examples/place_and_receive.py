"""Entrust a secret and receive it: alice's home, bob's home, whom alice calls bob."""

import sys

import dta

with dta.Client(sys.argv[1]) as alice, dta.Client(sys.argv[2]) as bob:
    vault = alice.vaults.open()
    order = alice.orders.place(b"the treasure is under the oak", vault=vault.id, beneficiary="bob")
    request = bob.orders.request(order.id)
    secret = bob.orders.receive(request.id)
    print(secret.reveal().decode())
    bob.orders.done(secret)
    alice.orders.close(order.id)
