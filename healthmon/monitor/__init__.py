"""The replica: campaign, lead, step down, follow. Read `round` first."""
