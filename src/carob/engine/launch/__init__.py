"""From a request, or a prepared pod, to a running one."""
