"""Mutation tests: change the deciding modules, and see whether their tests notice."""
