"""Rate limits and login lockout."""
