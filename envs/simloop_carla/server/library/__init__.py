"""What can be spawned: blueprints of actors and sensors, their attributes, sizes and vehicle models."""
