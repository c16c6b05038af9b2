"""Identities on the user's side: profiles, their keys, the documents that say who an actor is, and signing as one."""
