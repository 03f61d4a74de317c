"""A hosted map: document, spawn points, speed limits, stop lines, turning loops, and the sidewalks' mesh."""
