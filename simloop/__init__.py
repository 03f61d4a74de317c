"""simloop: closed-loop, simulation-in-the-loop testing of model agents under realistic latency."""
