"""How long each stage between a capture and its effect takes: distributions, the stage graph, presets."""
