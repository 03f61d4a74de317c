"""Driving metrics: criticality, collisions and progress, read from ``world.actors`` and ``world.contacts``."""
