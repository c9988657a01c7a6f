"""Passkeys of a real Chromium: virtual authenticators of the DevTools protocol."""

OPTIONS = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


class VirtualAuthenticator:
    """A virtual authenticator of a page, such as the fingerprint reader of a laptop."""

    def __init__(self, page, **options):
        self.devtools = page.context.new_cdp_session(page)
        self.devtools.send("WebAuthn.enable")
        added = self._send("addVirtualAuthenticator", options=OPTIONS | options)
        self.id = added["authenticatorId"]

    def credentials(self):
        """Return the passkeys that it keeps."""
        return self._of_own("getCredentials")["credentials"]

    def consent(self, *, is_given):
        """Answer requests by itself from now on, or leave them waiting."""
        self._of_own("setAutomaticPresenceSimulation", enabled=is_given)

    def verify(self, *, succeeds):
        """Recognize the user from now on, or fail to."""
        self._of_own("setUserVerified", isUserVerified=succeeds)

    def _of_own(self, command, **fields):
        return self._send(command, authenticatorId=self.id, **fields)

    def _send(self, command, **fields):
        return self.devtools.send(f"WebAuthn.{command}", fields)
