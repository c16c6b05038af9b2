"""What ``import dta`` is made of: a client for applications in Python, blocking and under asyncio (docs/howto/sdk.md)."""
