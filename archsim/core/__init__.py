"""What every other room stands on: errors, units, specs, YAML files, plug-ins.

Nothing here knows what an accelerator is. Modules are imported by name; this one exports nothing.
"""
