"""Part III, what to ask of a picture: statistics that add up over pixels, and functions of them."""
