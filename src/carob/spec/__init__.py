"""Documents of the specifications, as values: appc, OCI, image references. Pure."""
