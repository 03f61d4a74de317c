"""Driving metrics: criticality, fault, progress and braking, read from ``world.actors`` and ``world.contacts``."""
