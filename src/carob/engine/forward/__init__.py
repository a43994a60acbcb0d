"""Ports of this host that lead into pods."""
