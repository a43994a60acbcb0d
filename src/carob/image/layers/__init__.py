"""The layers of images, unpacked once each into directories that all pods share.

``trees`` is what others ask. ``unpacking`` unpacks an image's layers side by side: ``extract`` reads and
hashes one, ``maker`` and ``unpack`` make its files, ``settle`` puts it on the layers below; ``hands`` are
this process's own or, without root, those of a ``worker`` in a user namespace.
"""
