"""Workers and the quota that they share, with a real Redis where there is one."""
