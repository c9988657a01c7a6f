"""The servers that run PyCoder, and the configuration of what stands around them."""
