"""SPDY/3.1, the server's side: frames, header blocks, streams and windows, without any input or output.

Source: SPDY Protocol, draft 3.1 (The Chromium Projects), sections 2 and 3.
"""
