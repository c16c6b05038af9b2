"""What ``import dta`` is made of: a client for applications, blocking and under asyncio (docs/howto/sdk.md)."""
