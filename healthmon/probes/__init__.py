"""Active checks: one file a kind, the table of kinds, and the prober that runs them beside the leader's rounds."""
