"""Makes blocks.ttf: every character is the same box, 0.6 em wide. With it a screenshot shows where text stands and how long it is,
the same on every machine, whatever fonts that machine has.

    pip install fonttools==4.68.0 && python make_font.py
"""

import os

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib.tables._c_m_a_p import CmapSubtable

os.environ["SOURCE_DATE_EPOCH"] = "0"


def box(left, bottom, right, top):
    pen = TTGlyphPen(None)
    pen.moveTo((left, bottom))
    for point in [(left, top), (right, top), (right, bottom)]:
        pen.lineTo(point)
    pen.closePath()
    return pen.glyph()


font = FontBuilder(1000, isTTF=True)
font.setupGlyphOrder([".notdef", "box", "blank"])
font.setupCharacterMap({0x41: "box"})
font.setupGlyf({".notdef": box(60, 0, 540, 600), "box": box(60, 0, 540, 600), "blank": TTGlyphPen(None).glyph()})
font.setupHorizontalMetrics({name: (600, 60) for name in [".notdef", "box", "blank"]})
font.setupHorizontalHeader(ascent=900, descent=-300)
font.setupOS2(sTypoAscender=900, sTypoDescender=-300, usWinAscent=900, usWinDescent=300, sxHeight=600, sCapHeight=600)
font.setupNameTable({"familyName": "Blocks", "styleName": "Regular"})
font.setupPost()
# Format 13 maps whole ranges to one glyph.
table = CmapSubtable.newSubtable(13)
table.platformID, table.platEncID, table.language, table.format, table.reserved, table.nGroups = 3, 10, 0, 13, 0, 0
table.cmap = {code: "blank" if code in (0x20, 0xA0) else "box" for code in range(0x20, 0x20000) if not 0xD800 <= code < 0xE000}
font.font["cmap"].tables.append(table)
font.save(os.path.join(os.path.dirname(os.path.abspath(__file__)), "blocks.ttf"))
