"""Tar archives as streams: read, bounded, and written. Knows nothing of images."""
