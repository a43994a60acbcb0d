"""The way in: ``pull`` decides by policy, ``fetch`` takes an image from a source into store and layers."""
