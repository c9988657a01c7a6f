"""Second factors: authenticator apps, recovery codes, passkeys, and half-done logins."""
