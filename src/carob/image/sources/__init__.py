"""Where images come from, as ``source`` describes it: layouts, archives, directories. ``open`` knows."""
