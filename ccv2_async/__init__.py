"""Asyncio client library for the Constant Contact v2 REST API."""
