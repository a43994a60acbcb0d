"""Pods and images as rkt's API tells of them, and pods asked for by rkt's pod manifests."""
