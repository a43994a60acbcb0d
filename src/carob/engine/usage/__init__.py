"""What running pods take of their host."""
