"""Directories that outlive pods, and what pods hold of them."""
