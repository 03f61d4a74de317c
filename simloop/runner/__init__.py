"""Runs planned episodes: in this process or on Ray, interleaved, batched, limited, retried and resumable."""
