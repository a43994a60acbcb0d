"""Many processes, random verbs on few objects, one order that explains what they saw: `make race-test`."""
