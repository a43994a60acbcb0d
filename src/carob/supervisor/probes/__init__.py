"""Whether apps start, live and are ready: probes, for pods that ask for them, which alone load this."""
