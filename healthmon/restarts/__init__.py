"""Carries out the restarts that the leader has claimed: takes an order, restarts, reports. One file a method."""
