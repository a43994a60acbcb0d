"""appc's documents of pods and images, written and read: what rkt's tools know carob's pods by. Pure."""
