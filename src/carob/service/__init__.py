"""The API services: other programs' protocols over the engine. They keep nothing: all truth is on disk."""
