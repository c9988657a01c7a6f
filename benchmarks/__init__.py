"""Measure PyCoder side by side with other systems. See README.md."""
