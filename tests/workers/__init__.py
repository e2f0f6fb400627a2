"""Workers and their shared quota, with a real Redis if there is one."""
