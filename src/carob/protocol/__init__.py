"""What is written for others, versioned: the launch plan, exit records. Pure."""
