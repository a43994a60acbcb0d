"""CNI (containernetworking/cni, SPEC.md 0.1 to 1.1): configurations, requests, results, and what users write.

Pure: texts and parsed JSON come in, checked values go out; nothing here opens a file or runs a plugin.
"""
