"""The mapping room: rowcall.yaml -> Mapping, with every fault at once."""

from rowcall.mapping.check import read_mapping
from rowcall.mapping.desk import Probe
from rowcall.mapping.load import Draft, Endpoints, load, peek
from rowcall.mapping.model import Mapping
from rowcall.mapping.travel import without_endpoints

__all__ = ["Draft", "Endpoints", "Mapping", "Probe", "load", "peek", "read_mapping", "without_endpoints"]
