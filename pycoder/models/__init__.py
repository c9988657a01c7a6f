"""The database models."""
