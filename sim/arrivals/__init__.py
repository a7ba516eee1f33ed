"""When requests come: one function per process, each from a specification and a random generator to integer ns."""
