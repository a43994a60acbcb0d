"""What is done to the apps of running pods, and in them."""
