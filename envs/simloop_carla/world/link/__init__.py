"""A session with a server: finding or starting it, calls that end when it does, and leaving it as found."""
