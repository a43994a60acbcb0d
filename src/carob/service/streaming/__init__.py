"""Exec, attach and port-forward as Kubernetes' clients speak them: SPDY/3.1 and WebSocket.

Bytes go in and events come out in ``spdy``, ``websocket`` and the sessions above them; nothing there waits
or touches a socket. ``server`` is the edge to the network, ``pods`` the edge to carob's pods.
"""
