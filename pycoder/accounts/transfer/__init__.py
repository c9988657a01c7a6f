"""Import accounts from other systems, and export them."""
