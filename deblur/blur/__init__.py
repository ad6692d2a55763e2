"""Makes blur as a camera makes it: pure functions of a random generator."""
