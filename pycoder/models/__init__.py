"""The tables, and questions about single rows."""
