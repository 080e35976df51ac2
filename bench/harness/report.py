"""Formats raw results as tables. Doesn't know how they were measured."""

from . import plot
from .figures import Figures, cpu, number, peak, plain, speed, timing
from .targets import targets

BEGIN, END = "<!-- bench/run writes from here -->", "<!-- to here -->"
TITLES = {
    "small8": "200 KiB chunks, 8 uploads at once, files of 16 MB",
    "large2": "5 MiB chunks, 2 uploads at once, files of 84 MB",
    "small1": "200 KiB chunks, one upload at a time, files of 16 MB",
    "sustained": "200 KiB chunks, 8 uploads at once, 8 GiB without a pause",
    "finish64": "Finish of 64 MB, sent in chunks of 200 KiB",
    "finish1000": "Finish of 1 GB, sent in chunks of 5 MiB",
    "patch1000": "Files of 1 GB by tus, each in one PATCH; with its last byte Haversack's is finished, which includes a sync",
    "crowd": "1,000 uploads at once, each held in the middle of a chunk",
    "records": "200 KiB chunks, one upload at a time, with 1,000,000 finished files and 10,000 unfinished uploads on record",
    "workers2": "200 KiB chunks, 8 uploads at once; both cores for server and load",
    "download": "Download of a file of 512 MiB, 4 clients; ranges of 1 MiB",
}
UPLOADS = ["MB/s", "CPU s/GB", "least - most", "x floor", "chunk p50", "p99", "longest", "done p50", "p99", "peak MB"]
DONES = ["done p50 ms", "p99", "longest", "read MB", "written MB"]


def brief(run):
    """Formats a run as a line of progress."""
    if "held" in run:
        return f"{run['each'] / 1024:6.0f} KiB each over {run['base'] / 2**20:.1f} MiB"
    kind = "chunk_ms" if "chunk_ms" in run else "reply_ms"
    line = f"{speed(run):6.0f} MB/s {cpu(run):7.3f} CPU s/GB   p50 {number(timing(kind, 'p50')(run))} ms, longest {number(timing(kind, 'max')(run))} ms"
    if run.get("done_ms"):
        line += f", done {number(run['done_ms']['p50'])} ms"
    return line + (f"   LOAD AT {run['load_share']:.0%}" if run["load_share"] > 0.9 else "")


def text(results):
    """Formats everything as Markdown."""
    figures = Figures(results)
    versions = ", ".join(f"{name} {version}" for name, version in sorted(results["versions"].items()))
    about = results["machine"]
    lines = [
        f"{results['date']}, medians of {results['rounds']} round{'s' * (results['rounds'] > 1)}. {about['processor']}, {about['cores']} cores, {about['memory_gib']} GiB,"
        f" Linux {about['kernel']}, {about['file_system']}; a sync of 4 KiB takes this disk {number(about['sync_ms'])} ms;"
        f" before the start other programs used {about['busy']:.0%} of the cores. {versions}.",
        "",
    ]
    lines += [f"Missing: {name}: {reason}." for name, reason in results["missing"].items()]
    failures = {}
    for round_number, work, variant, reason in results["failed"]:
        failures.setdefault((variant, reason), []).append(f"{work} {round_number}")
    lines += [f"Failed: {variant} ({', '.join(runs)}): {reason}." for (variant, reason), runs in failures.items()]
    lines += ["", "### Targets", "", *_table(["work", "target", "measured", "met"], targets(figures)), ""]
    for work, title in TITLES.items():
        if variants := figures.variants(work):
            lines += [f"### {title}", "", *_work(figures, work, sorted(variants, key=_rank)), ""]
    return "\n".join(lines)


def write(results, root):
    """Writes tables and plot into the marked part of BENCHMARKS.md."""
    path = root / "BENCHMARKS.md"
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    picture = "![CPU time per GB and time of a chunk](bench/plot.svg)"
    path.write_text(f"{before}{BEGIN}\n\n{picture}\n\n{text(results)}\n{END}{after}")
    (root / "bench/plot.svg").write_text(plot.svg(Figures(results), cpu, timing("chunk_ms", "p50")))


def _rank(variant):
    order = ["floor", "haversack", "empty", "full", "1", "2", "rustus", "tusd", "nginx", "tus-node", "django"]
    return next((place for place, name in enumerate(order) if variant.startswith(name)), len(order)), variant


def _work(figures, work, variants):
    if work == "crowd":
        shown = [plain("uploads"), plain("completed"), plain("cold", 2**20), plain("base", 2**20), plain("each", 1024), plain("peak", 2**20)]
        heads = ["uploads", "completed", "fresh MiB", "base MiB", "KiB each", "peak MiB"]
    elif work.startswith("finish"):
        shown = [timing("done_ms", "p50"), timing("done_ms", "p99"), timing("done_ms", "max"), plain("done_read", 1e6), plain("done_written", 1e6)]
        heads = DONES
    elif work == "download":
        shown = [speed, cpu, timing("reply_ms", "p50"), timing("reply_ms", "p99"), peak]
        heads = ["MB/s", "CPU s/GB", "p50 ms", "p99", "peak MB"]
    elif work in ("records", "workers2"):
        shown = [speed, cpu, timing("chunk_ms", "p50"), timing("chunk_ms", "p99"), timing("chunk_ms", "max"), peak, plain("started")]
        heads = ["MB/s", "CPU s/GB", "chunk p50 ms", "p99", "longest", "peak MB", "start-up s"]
    else:
        return _uploads(figures, work, variants)
    rows = [[variant, *(number(figures.median(work, variant, figure)) for figure in shown)] for variant in variants]
    return _table(["", *heads], rows)


def _uploads(figures, work, variants):
    rows = []
    for variant in variants:
        spread = figures.all(work, variant, cpu)
        shown = [timing("chunk_ms", which) for which in ("p50", "p99", "max")] + [timing("done_ms", which) for which in ("p50", "p99")]
        rows.append([
            variant, number(figures.median(work, variant, speed)), number(figures.median(work, variant, cpu)),
            f"{number(min(spread))} - {number(max(spread))}", number(figures.ratio(work, variant, "floor", cpu)),
            *(number(figures.median(work, variant, figure)) for figure in [*shown, peak]),
        ])  # fmt: skip
    return _table(["times in ms", *UPLOADS], rows)


def _table(heads, rows):
    return [f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows]]
