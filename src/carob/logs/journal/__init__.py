"""Writing journal files that systemd's journalctl reads: the format's oldest form, which all versions know.

No compression, no sealing, hashes without a key (systemd's JOURNAL_FILE_FORMAT). One writer a file.
"""
