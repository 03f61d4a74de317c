"""What cameras, lidar and radar see of the driving world: meshes of roads, signals and actors."""
