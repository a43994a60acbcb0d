"""Archives that people hand to each other: root file systems in and out, images saved and loaded."""
