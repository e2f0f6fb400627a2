"""The operations, one module per area: handlers and the table rows that route them."""
