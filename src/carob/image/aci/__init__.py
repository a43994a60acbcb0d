"""App Container Images (appc specification 0.8.11): read, rendered, and handed on as OCI images."""
