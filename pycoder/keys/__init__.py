"""Signing keys: the ring that signs, the store, rotation."""
