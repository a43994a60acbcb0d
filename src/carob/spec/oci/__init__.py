"""OCI image documents (opencontainers/image-spec 1.1): descriptors, index, manifest, configuration.

Pure: bytes come in, checked values go out; nothing here opens a file.
"""
