"""The side-by-side benchmark: PyCoder, its peers, and the floor. See README.md."""
