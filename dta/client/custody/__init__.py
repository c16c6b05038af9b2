"""What a principal, a party and a beneficiary do with vaults and orders (docs/howto/orders.md), for programs.

Every function takes a :class:`dta.client.custody.session.Session`. What decides anything is read by proof: the keys
to seal to, the gateways to upload to, the request that an approval names, the answers.
"""
