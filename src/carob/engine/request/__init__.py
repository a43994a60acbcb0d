"""What callers ask for, as values that are checked when they are made."""
