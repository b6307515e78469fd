"""Redis: the only room that imports redis."""
