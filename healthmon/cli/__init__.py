"""Arguments in, one call into a room, words out."""
