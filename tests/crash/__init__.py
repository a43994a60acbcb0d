"""SIGKILL at every system call that changes something, in each process of an operation: `make crash-test`."""
