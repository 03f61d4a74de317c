"""Camera images of the two-arm scene: by the software renderer, and by MuJoCo's OpenGL."""
