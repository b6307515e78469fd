"""Reading only: what a person or a program sees of the fleet."""
