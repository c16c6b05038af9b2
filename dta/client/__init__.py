"""What principals, beneficiaries, registrars and auditors do, on top of ``ledger/``: each its own folder."""
