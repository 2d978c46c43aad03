"""archsim: latency, energy and area of real models on accelerators described in YAML."""

__version__ = "0.1.0"
