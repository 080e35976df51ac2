"""Defines the workloads and their variants, and runs one variant once.

Knows no medians or tables.
"""

import os
import shutil
import time
from pathlib import Path

from . import machine, records
from .load import Load, measured

MB, GB, MIB = 10**6, 10**9, 1 << 20
SMALL, LARGE = 200 * 1024, 5 * MIB
LEVELS = ["haversack-finish", "haversack-process", "haversack-chunk"]
TUS = "haversack-tus"
PEERS = ["rustus", "tusd", "nginx", "tus-node", "django"]
BOTH_CORES = f"{machine.SERVER_CORE},{machine.LOAD_CORE}"


class Works:
    """All workloads. `quick` makes each of them small, as a functional test."""

    def __init__(self, servers, load, folder, quick):
        self.servers, self.load, self.folder, self.quick = servers, load, folder, quick
        chunks = ["floor", "floor-epoll", "floor-sync", *LEVELS, TUS, *PEERS]
        self.all = {
            "small8": (chunks, self._uploads(SMALL, 8, 80 * SMALL, 2 * GB)),
            "large2": (chunks, self._uploads(LARGE, 2, 16 * LARGE, 3 * GB)),
            "small1": (chunks, self._uploads(SMALL, 1, 80 * SMALL, GB)),
            "sustained": (["floor", "floor-epoll", "floor-sync", "haversack-finish"], self._uploads(SMALL, 8, 80 * SMALL, 8 << 30, seconds=120)),
            "finish64": ([*LEVELS, "django"], self._uploads(SMALL, 1, 64 * MB, 20 * 64 * MB, watched=True)),
            "finish1000": (LEVELS, self._uploads(LARGE, 1, GB, 7 * GB, seconds=120, watched=True)),
            "patch1000": ([TUS, "rustus", "tusd"], self._uploads(GB, 1, GB, 5 * GB, seconds=120)),
            "crowd": (["haversack-finish"], self._crowd),
            "records": (["empty", "full"], self._records),
            "workers2": (["1 worker", "2 workers"], self._workers),
            "download": (["haversack whole", "nginx whole", "haversack ranges", "nginx ranges"], self._download),
        }

    def largest_bytes(self, names):
        """Maximum number of bytes in the page cache during these workloads."""
        return (8 << 30) if {"sustained", "finish1000", "patch1000"} & set(names) and not self.quick else 3 * GB

    def run(self, work, variant):
        """Runs a variant once, and returns the measurements."""
        try:
            return self.all[work][1](variant)
        finally:
            machine.emptied(self.folder / "run")

    def _job(self, server, chunk, clients, file, size, seconds=6, watched=False):
        if self.quick:
            size = min(size // 10, 10 * file)
        return {
            "kind": "uploads", "target": server.target(), "clients": clients, "chunk": chunk, "file": file,
            "warmup": min(file, 256 * MB), "bytes": size, "seconds": seconds,
            "watched": server.process.pid if watched and server.dialect == "haversack" else None,
        }  # fmt: skip

    def _uploads(self, *shape, **more):
        def run(variant):
            folder = self._folder()
            with self.servers.start(variant, folder) as server:
                return measured(self.load, self._job(server, *shape, **more), server)

        return run

    def _crowd(self, variant):
        count = 100 if self.quick else 1000
        with self.servers.start(variant, self._folder(), clients=count) as server:
            cold = machine.resident_bytes(server.processes())
            job = {"kind": "crowd", "target": server.target(), "uploads": count, "chunk": SMALL, "chunks": 3}
            with Load(self.load, job | {"uploads": 16}) as load:  # so that nothing happens for the first time below
                self._held(load, server, job["chunks"])
            time.sleep(0.5)
            base = machine.resident_bytes(server.processes())
            machine.forget_peak(server.processes())
            with Load(self.load, job) as load:
                held = self._held(load, server, job["chunks"])
                result = load.result()
            peak = machine.peak_bytes(server.processes())
        each = (held - base) / count
        return result | {"uploads": count, "cold": cold, "base": base, "held": held, "peak": peak, "each": each}

    @staticmethod
    def _held(load, server, chunks):
        """Returns the maximum resident memory while every upload is in the middle of a chunk."""
        most = 0
        for _ in range(chunks):
            load.expect("held")
            time.sleep(0.5)
            most = max(most, machine.resident_bytes(server.processes()))
            load.go()
        return most

    def _records(self, variant):
        folder = self._folder()
        if variant == "full":
            shutil.copytree(self._filled(), folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))
            os.sync()
        with self.servers.start("haversack-finish", folder) as server:
            started = server.started_seconds
            return measured(self.load, self._job(server, SMALL, 1, 80 * SMALL, GB), server) | {"started": started}

    def _filled(self):
        """Returns the folder with many records; fills it on first use."""
        folder = self.folder / "filled"
        if not folder.exists():
            folder.mkdir(parents=True)
            with self.servers.start("haversack-finish", folder) as server:
                templates = records.make_templates(server)
            database = folder / "data/haversack.db"
            scale = 100 if self.quick else 1
            counts = records.multiply(database, templates, 1_000_000 // scale, 10_000 // scale)
            print(f"records: {counts[1]} finished, {counts[0]} unfinished, {database.stat().st_size // MB} MB", flush=True)
        return folder

    def _workers(self, variant):
        threads = {"TOKIO_WORKER_THREADS": variant.split()[0]}
        with self.servers.start("haversack-finish", self._folder(), BOTH_CORES, environment=threads) as server:
            return measured(self.load, self._job(server, SMALL, 8, 80 * SMALL, 2 * GB), server, BOTH_CORES)

    def _download(self, variant):
        name, kind = variant.split()
        size = (32 if self.quick else 512) * MIB
        folder = self._folder()
        with self.servers.start("nginx" if name == "nginx" else "haversack-finish", folder) as server:
            if name == "nginx":
                (folder / "www/file.bin").write_bytes(bytes(size))
                link = "/file.bin"
            else:
                self._store(server, size)
                link = "/" + records.newest_link(server).split("/", 3)[3]
            job = {
                "kind": "download", "address": server.address, "link": link, "size": size, "clients": 4,
                "range": MIB if kind == "ranges" else None, "seconds": 0.5 if self.quick else 3,
            }  # fmt: skip
            os.sync()
            return measured(self.load, job, server)

    def _store(self, server, size):
        job = self._job(server, LARGE, 1, size, 0) | {"warmup": size}
        with Load(self.load, job) as load:
            load.expect("ready")

    def _folder(self):
        folder = machine.emptied(self.folder / "run")
        (folder / "data").mkdir()
        (folder / "info").mkdir()
        return Path(folder)
