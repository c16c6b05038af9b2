"""Where a node's keys live: a PKCS#11 token or an encrypted file, behind one interface (docs/howto/hsm.md)."""
