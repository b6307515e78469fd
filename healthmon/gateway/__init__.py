"""Heartbeats in that do not come by Redis. One door for all of them; each channel is one file."""
