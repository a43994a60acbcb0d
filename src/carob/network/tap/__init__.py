"""Networks of plain users' pods: a program is an interface in the pod and its voice on the host."""
