"""Files below a directory that what is in it cannot lead out of: attributes, copies, packing, locks."""
