"""Which images may be used: keys that are trusted for appc images, and the policy for OCI images."""
