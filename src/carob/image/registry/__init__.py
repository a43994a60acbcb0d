"""Registries of images: a client of the OCI distribution protocol, version 2.

``source`` is the way in for the pipeline, ``push`` the way out, ``configuration`` what registries.toml says.
The layers, from the top: ``source`` and ``push``; ``client`` (one registry's endpoints); ``requester``
(credentials, redirects, retries); ``transport`` (one exchange over urllib3, which is loaded only here).
"""
