"""The operations, one module an area: handlers and the table rows that route them."""
