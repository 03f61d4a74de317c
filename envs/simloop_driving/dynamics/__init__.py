"""Vehicle dynamics of the ego and the controllers that turn actions into actuator commands."""
