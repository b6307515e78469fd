"""The fleet file: what a fleet shall be, read and checked as a whole, compared with what is stored, and ordered so."""
