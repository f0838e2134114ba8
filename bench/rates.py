"""The measured rates."""
from pathlib import Path
SCHEMA_VERSION = 1
RATES = Path(__file__).resolve().parent / "rates.json"
