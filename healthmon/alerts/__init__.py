"""Events out: who is told, by which sink, at least once."""
