"""Kubernetes' container runtime interface, CRI v1: sandboxes are mutable pods, containers their apps.

Calls are answered by ``info``, ``images``, ``sandboxes``, ``containers``, ``streams``, ``figures`` and
``container_events``; the modules that they translate with are pure.
"""
