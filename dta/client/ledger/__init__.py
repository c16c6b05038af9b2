"""The ledger as somebody sees it who believes no node: RPC, headers, proved reads, transactions.

What is said to a node and what is made of its answers is written once, as flows (:mod:`dta.client.ledger.flow`) that
touch no socket and no clock; :mod:`dta.client.ledger.rpc` runs them, blocking or under asyncio.
"""
