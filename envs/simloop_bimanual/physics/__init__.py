"""The start of an episode and its physics: MuJoCo's steps with the compiled control of the arms between them."""
