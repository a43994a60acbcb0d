"""Mutable pods: apps are added to a running pod, started, stopped and removed, each by itself."""
