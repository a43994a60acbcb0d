"""Copying files into and out of a pod's app: members of a tree or a tar, one after the other.

``members`` gives them, ``target`` takes them, ``places`` says what goes where, as in docker's and podman's
``cp``. The app is hostile: whatever it does to its files meanwhile, no path leads out of its root
(openat2(2)), and nothing on the way out gives a right on the host.
"""
