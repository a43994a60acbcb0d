"""The store: an OCI image layout, what its index reaches, how an image is found in it, and its upkeep.

``store`` is all of it as one object; ``resolve`` is what every start of a pod needs, and loads little.
"""
