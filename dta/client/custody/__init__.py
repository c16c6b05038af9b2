"""Vaults, orders, requests and what is received, from the principal's and the beneficiary's side."""
