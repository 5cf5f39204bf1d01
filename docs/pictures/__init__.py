"""Programs that draw the demonstration's pictures: a town at night, a painting of strokes, a portrait and its parts.

The package ships what they draw (``handstyle/data``); `pictures.render` draws it again.
"""
