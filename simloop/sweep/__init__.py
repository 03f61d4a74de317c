"""Latency sweeps: strategies by latencies on paired cases, critical latencies, causes of failure and twins."""
