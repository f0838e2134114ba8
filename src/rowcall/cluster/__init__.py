"""The cluster room: a run's chunks settled by workers on other machines."""

from rowcall.cluster.cluster import Cluster, reach

__all__ = ["Cluster", "reach"]
