"""Run the client and the sandbox together on one virtual clock, with every fault a seed draws."""
