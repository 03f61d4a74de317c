"""Exact footprints, impact speed and who is to blame."""
