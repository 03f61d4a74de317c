"""Scenes of our own on robosuite's arms."""
