"""The use cases: what the command line, the API service and library users do with pods and images."""
