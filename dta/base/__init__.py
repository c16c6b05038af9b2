"""What everything in ``dta`` stands on: errors, secrets, the configuration and the home. It knows no ledger."""
