"""The demo's components: who they are, what befalls them and when, and the program that each of them runs."""
