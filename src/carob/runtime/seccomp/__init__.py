"""System call filters: carob's own profile, those that users give, and what the OCI runtimes take.

``default`` has what an app gets where nothing else is said; nothing else here is loaded for that.
"""
