"""The ends of pods: stopped, removed, collected, detached from their networks."""
