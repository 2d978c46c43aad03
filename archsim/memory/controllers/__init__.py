"""Controllers of DRAM channels: two structures, each with its inner loop, and what picks one."""
