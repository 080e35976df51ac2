"""Draws bar charts as SVG. Doesn't know what they mean."""

from html import escape

WIDTH, LABEL, BAR, GAP, HEAD = 760, 150, 18, 6, 44
COLOURS = {"floor": "#8a8f98", "haversack": "#c2410c"}
OTHER = "#4a6fa5"


def svg(figures, cpu, p50):
    """Draws CPU time per GB with small and large chunks, and the time per chunk."""
    panels = [
        ("CPU seconds per GB: 200 KiB chunks, 8 uploads at once", "small8", cpu),
        ("CPU seconds per GB: 5 MiB chunks, 2 uploads at once", "large2", cpu),
        ("Milliseconds for a chunk of 200 KiB, one upload at a time (p50)", "small1", p50),
    ]
    shapes, top = [], 0
    for title, work, figure in panels:
        bars = [(name, figures.median(work, name, figure)) for name in figures.variants(work)]
        bars = sorted((bar for bar in bars if bar[1] is not None), key=lambda bar: bar[1])
        if bars:
            shapes += _panel(title, bars, top)
            top += HEAD + len(bars) * (BAR + GAP)
    style = "font: 13px system-ui, sans-serif; fill: #1f2328"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 12}" width="{WIDTH}" height="{top + 12}" role="img"'
        f' style="{style}">\n<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(shapes) + "\n</svg>\n"
    )


def _panel(title, bars, top):
    yield f'<text x="12" y="{top + 28}" font-weight="600">{escape(title)}</text>'
    longest = max(value for _, value in bars)
    for place, (name, value) in enumerate(bars):
        y = top + HEAD + place * (BAR + GAP)
        width = max(1.0, value / longest * (WIDTH - LABEL - 80))
        colour = COLOURS.get(name.split("-")[0], OTHER)
        yield f'<text x="{LABEL - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>'
        yield f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" fill="{colour}"/>'
        yield f'<text x="{LABEL + width + 6:.1f}" y="{y + 13}">{value:.2f}</text>'
