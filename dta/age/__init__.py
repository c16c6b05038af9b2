"""``age-plugin-dta``: files encrypted to an order (docs/howto/age.md). ``age`` runs it for a person, over pipes."""
