"""Compares Haversack's targets with the measurements. Ratios are medians of the rounds' ratios."""

from . import figures as of

OURS = "haversack-finish"
TUS = "haversack-tus"
# Printed with each target that compares Haversack, which syncs files, with the floor, which doesn't.
SYNCING = "x a floor that syncs files, too"


def targets(figures):
    """Returns rows: workload, target, measurement or "not measured", and whether the target is met."""
    p50, stall, done = (of.timing(*which) for which in (("chunk_ms", "p50"), ("chunk_ms", "max"), ("done_ms", "p50")))
    ratio = figures.ratio
    rows = [
        _most("small8", "CPU per GB, x floor", 1.2, ratio("small8", OURS, "floor", of.cpu)),
        _most("small8", f"CPU per GB, {SYNCING}", 1.2, ratio("small8", OURS, "floor-sync", of.cpu)),
        _most("small8", "CPU per GB, x rustus", 0.5, ratio("small8", OURS, "rustus", of.cpu)),
        _most("large2", "CPU per GB, x floor", 1.0, ratio("large2", OURS, "floor", of.cpu)),
        _most("large2", f"CPU per GB, {SYNCING}", 1.0, ratio("large2", OURS, "floor-sync", of.cpu)),
        _most("small1", "chunk p50, x floor", 1.3, ratio("small1", OURS, "floor", p50)),
        _most("small1", "chunk p50, x tusd", 1.0, ratio("small1", OURS, "tusd", p50)),
        _most("sustained", "CPU per GB, x floor", 1.3, ratio("sustained", OURS, "floor", of.cpu)),
        _most("sustained", f"CPU per GB, {SYNCING}", 1.3, ratio("sustained", OURS, "floor-sync", of.cpu)),
        _most("sustained", "longest stall of a chunk, x floor", 2.0, ratio("sustained", OURS, "floor", stall)),
        *(_most(work, "CPU per GB by tus, x by forms", 1.05, ratio(work, TUS, OURS, of.cpu)) for work in ("small8", "large2")),
        *(_most("patch1000", f"CPU per GB, x {peer}", 1.0, ratio("patch1000", TUS, peer, of.cpu)) for peer in ("rustus", "tusd")),
        *_finishes(figures, done),
        *_crowd(figures),
        _most("records", "chunk p50, x empty database", 1.2, ratio("records", "full", "empty", p50)),
        _most("records", "start-up, s", 2.0, figures.median("records", "full", of.plain("started"))),
        _most("workers2", "CPU per GB, x one worker", 1.1, ratio("workers2", "2 workers", "1 worker", of.cpu)),
    ]
    for kind in ("whole", "ranges"):
        ours, theirs = f"haversack {kind}", f"nginx {kind}"
        rows.append(_least("download", f"{kind}: MB/s, x nginx", 0.8, ratio("download", ours, theirs, of.speed)))
        rows.append(_most("download", f"{kind}: CPU per GB, x nginx", 2.0, ratio("download", ours, theirs, of.cpu)))
    return rows


def _finishes(figures, done):
    small, large = (figures.median(work, OURS, done) for work in ("finish64", "finish1000"))
    apart = max(small, large) / min(small, large) if small and large else None
    # A finish syncs the file and then the records, so a durable one takes at least two syncs of the disk.
    limit = max(15.0, 3 * figures.results["machine"]["sync_ms"])
    moved = [figures.all(work, OURS, of.plain("done_written", 1e6)) for work in ("finish64", "finish1000")]
    return [
        _most("finish64, finish1000", "p50 apart, x", 3.0, apart),
        _most("finish64, finish1000", "p50, ms (15, or three syncs of this disk)", limit, max(small, large) if apart else None),
        _most("finish64, finish1000", "written during done, MB", 1.0, max(map(max, moved)) if all(moved) else None),
    ]


def _crowd(figures):
    value = {key: figures.median("crowd", OURS, of.plain(key)) for key in ("uploads", "completed", "each", "base")}
    known = value["uploads"] is not None
    return [
        _least("crowd", "uploads that complete, share", 1.0, value["completed"] / value["uploads"] if known else None),
        _most("crowd", "memory of each, KiB", 256.0, value["each"] / 1024 if known else None),
        _most("crowd", "base memory, MiB", 40.0, value["base"] / 2**20 if known else None),
    ]


def _most(work, what, limit, value):
    return _row(work, f"{what} <= {of.number(limit)}", value, value is not None and value <= limit)


def _least(work, what, limit, value):
    return _row(work, f"{what} >= {of.number(limit)}", value, value is not None and value >= limit)


def _row(work, target, value, met):
    return [work, target, *(("not measured", "-") if value is None else (of.number(value), "yes" if met else "**no**"))]
