"""What waits for somebody's decision or receipt, proved, the nearest deadline first (docs/spec/concerns.md, The inbox).

``items`` has the types, ``reading`` the flows (for both faces of the ledger), ``home`` the inbox of a home's identity.
"""
