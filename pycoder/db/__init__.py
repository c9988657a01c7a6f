"""Database access: statements, connections, leases."""
