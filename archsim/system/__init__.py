"""From a machine description to a schedule: spec, build, place, tile, simulate."""
