"""From a request and images to a directory in ``prepared``."""
