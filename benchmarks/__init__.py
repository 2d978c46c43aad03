"""Speed of archsim, as ratios within one run; not part of the package or of the default tests."""
