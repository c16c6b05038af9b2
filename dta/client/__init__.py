"""The typed SDK: by it everybody talks to the ledger, synchronously (:class:`dta.client.ledger.Ledger`) or not.

What is said to a node and what is made of its answers is written once, as flows (:mod:`dta.client.flow`) that
touch no socket and no clock; :mod:`dta.client.rpc` runs them, blocking or under asyncio.
"""
