"""Row-stationary whose sets take channels of different groups too, as pools and Eyeriss v2 do."""

from archsim.dataflows.row_stationary import RowStationary


class RowStationaryGroups(RowStationary):
    """Row-stationary on a network that feeds every set by itself: sets take groups too.

    Source: Chen et al., Eyeriss v2 (JETCAS 2019): a hierarchical mesh, for depthwise layers.
    """

    kind = "row_stationary_groups"
    groups = True
