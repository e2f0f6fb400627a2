"""Files: where bytes come from, and the bodies that are made of them."""
