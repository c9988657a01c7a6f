"""Password policy and password hashing."""
