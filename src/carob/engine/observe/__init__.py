"""What a data directory tells of its pods, at once or as it changes. Reads only."""
