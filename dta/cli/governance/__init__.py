"""``dta governance``: what the fiduciaries decide together. A kind of proposal is one module here."""
