"""The command line: one file a verb, over the engine."""
