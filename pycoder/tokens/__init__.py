"""Access and refresh tokens: claims, signatures, state."""
