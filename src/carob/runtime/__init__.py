"""The OCI runtime: its configuration (pure), its command lines, and finding it."""
