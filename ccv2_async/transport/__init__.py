"""How one call reaches the service and comes back."""
