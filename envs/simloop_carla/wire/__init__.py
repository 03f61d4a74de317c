"""The wire protocol of CARLA 0.9.16: structs and their checks, replies, and the binary messages of the streams."""
