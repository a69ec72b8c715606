"""Trained networks in use: on photographs, with what they saw in them, and in other programs."""
