"""How one request reaches a server and its answer comes back."""
