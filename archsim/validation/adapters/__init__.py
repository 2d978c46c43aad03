"""One adapter a suite: from a table row to an ordinary run, and from its report to metrics."""
