"""Time: programs of timed steps and the two engines that run them; knows no accelerator."""
