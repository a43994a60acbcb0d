"""rkt's API service, ``v1alpha.PublicAPI``: pods, images, events and logs, to be read."""
