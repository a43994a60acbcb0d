"""The images of a data directory, and the ways in and out."""
