"""Parcels: read them, price them, sort them."""

from .conveyor import Conveyor
from .importer import ImportProblem, read_parcels
from .model import Parcel
from .rates import TooHeavy, price_cents

__version__ = "0.3.0"

__all__ = ["Conveyor", "ImportProblem", "Parcel", "TooHeavy", "price_cents", "read_parcels"]
