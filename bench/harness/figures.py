"""Computes figures from raw results: of one run, and medians and ratios of several. Doesn't know what they are for."""

from statistics import median


class Figures:
    """The runs in one file of raw results, by workload and variant."""

    def __init__(self, results):
        self.results, self._runs = results, {}
        for run in results["runs"]:
            self._runs.setdefault((run["work"], run["variant"]), {})[run["round"]] = run

    def variants(self, work):
        return list(dict.fromkeys(run["variant"] for run in self.results["runs"] if run["work"] == work))

    def all(self, work, variant, figure):
        """Returns a figure, which is a function of a run, for each round. Rounds without it are left out."""
        found = (figure(run) for run in self._runs.get((work, variant), {}).values())
        return [value for value in found if value is not None]

    def median(self, work, variant, figure):
        values = self.all(work, variant, figure)
        return median(values) if values else None

    def ratio(self, work, variant, other, figure, other_work=None):
        """Returns the median of the rounds' ratios, or None unless both variants were measured."""
        ours, theirs = self._runs.get((work, variant), {}), self._runs.get((other_work or work, other), {})
        ratios = [figure(ours[number]) / figure(theirs[number]) for number in ours.keys() & theirs.keys() if figure(theirs[number])]
        return median(ratios) if ratios else None


def speed(run):
    return run["bytes"] / run["seconds"] / 1e6 if "bytes" in run else None


def cpu(run):
    return run["cpu"] / run["bytes"] * 1e9 if run.get("bytes") else None


def peak(run):
    return run["peak"] / 1e6


def timing(kind, which):
    """A figure such as the p50 of chunks, in ms."""
    return lambda run: (run.get(kind) or {}).get(which)


def plain(key, scale=1.0):
    return lambda run: None if run.get(key) is None else run[key] / scale


def number(value):
    """Formats with three significant digits; empty if there is no value."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")
