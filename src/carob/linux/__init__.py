"""Linux as carob needs it: thin, typed, and raising ``OSError``."""
