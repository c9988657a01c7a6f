"""Use cases of sessions: login, refresh, revocation."""
