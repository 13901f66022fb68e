"""Writes the state that each stock widget of the Python package ipywidgets has when it is made without arguments.

Usage: python ipywidgets_defaults.py > ../ipywidgets/defaults.json     (ipywidgets 8.1.9)

References to other widgets are written as {"model": name of the model}, bytes as {"bytes": base64}.
"""

import base64
import json
import warnings

warnings.simplefilter("ignore")

import ipywidgets
from ipywidgets import Widget


def plain(value, models):
    if isinstance(value, str) and value.startswith("IPY_MODEL_"):
        return {"model": models[value[len("IPY_MODEL_") :]]._model_name}
    if isinstance(value, (bytes, memoryview)):
        return {"bytes": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, (list, tuple)):
        return [plain(item, models) for item in value]
    if isinstance(value, dict):
        return {key: plain(item, models) for key, item in value.items()}
    return value


def arguments(cls):
    """What the classes need that cannot be made empty."""
    if cls.__name__ in ("SelectionSlider", "SelectionRangeSlider"):
        return {"options": ["a", "b"]}
    if cls.__name__ in ("Link", "DirectionalLink"):
        return {"source": (ipywidgets.IntSlider(), "value"), "target": (ipywidgets.IntText(), "value")}
    return {}


states = {}
for (module, *_), cls in sorted(Widget.widget_types.items(), key=str):
    if cls.__name__.startswith("_"):
        continue
    widget = cls(**arguments(cls))
    models = Widget.widgets if hasattr(Widget, "widgets") else ipywidgets.widgets.widget._instances
    states[widget._model_name] = {key: plain(value, ipywidgets.widgets.widget._instances) for key, value in sorted(widget.get_state().items())}

print(json.dumps({"ipywidgets": ipywidgets.__version__, "states": states}, indent=1, sort_keys=True))
