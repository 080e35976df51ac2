#!/usr/bin/env python3
"""Computes the tables of docs/sizing.md: arithmetic over the costs of single steps, and a simulation of their queues.

`bench/sizing.py` prints the tables, `--write` writes them into the page, and `--check` exits with 1 if the page has
others. It takes some seconds, and prints the same every time.
"""

import math
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from harness.queues import Log, Servers, World  # noqa: E402

PAGE = Path(__file__).resolve().parent.parent / "docs/sizing.md"
FILE = 10_000_000  # bytes of one upload
CHUNKS = {"200 KiB": 204_800, "5 MiB": 5_242_880}
RATES = [1_000, 10_000, 1_000_000]  # uploads per minute
MONTH = 30 * 24 * 3600  # seconds

# The costs of single steps: name -> (value, unit, what, source). "measured": on the machine of BENCHMARKS.md with
# PostgreSQL 15.18, as docs/sizing.md says. "public": a public price or limit. "assumed": neither; change it to yours.
COSTS = {
    "wal_disk_49": (34_055, "B", "log (WAL) of an upload of 49 chunks, bytes on disk", "measured"),
    "wal_disk_2": (4_547, "B", "log of an upload of 2 chunks, bytes on disk", "measured"),
    "wal_object_49": (62_789, "B", "log of an upload of 49 chunks, each an object", "measured"),
    "wal_object_2": (5_745, "B", "log of an upload of 2 chunks, each an object", "measured"),
    "wal_pack_49": (6_524, "B", "log of packing 49 objects, without its jobs", "measured"),
    "wal_pack_2": (1_754, "B", "log of packing 2 objects, without its jobs", "measured"),
    "wal_job": (1_691, "B", "log of a job: added, taken, settled", "measured"),
    "wal_picture": (5_096, "B", "log of a photo's cleaning and thumbnail, beyond that of another file", "measured"),
    "wal_images": (23_311, "B", "log of full pages (the first change of each page after a checkpoint) per upload soon after one, 1,000,000 Files on record", "measured"),
    "db_part": (0.65, "ms", "database CPU of a chunk", "measured, ± 0.15"),
    "db_upload": (2.0, "ms", "database CPU of the beginning and the end of an upload", "measured, ± 0.7"),
    "db_job": (1.2, "ms", "database CPU of a job", "measured, rough"),
    "node_200 KiB": (2.56, "s/GB", "server CPU in chunks of 200 KiB, bytes on disk, records in SQLite", "measured (BENCHMARKS.md)"),
    "node_5 MiB": (1.10, "s/GB", "server CPU in chunks of 5 MiB, the same", "measured (BENCHMARKS.md)"),
    "node_send": (1.0, "s/GB", "server CPU of sending bytes on to a bucket: about what the floor takes to receive them", "assumed"),
    "thumbnail": (0.165, "s", "server CPU of a photo of 12 megapixels and 9.4 MB: cleaning and thumbnail", "measured, rough"),
    "flight": (243, "KiB", "server memory of an upload in progress", "measured (BENCHMARKS.md)"),
    "flush": (1.0, "ms", "a sync of the log on a disk over the network (0.34 ms on the machine of BENCHMARKS.md)", "assumed"),
    "trip": (0.5, "ms", "a round trip to the database in the same zone", "assumed"),
    "put": (0.1, "s", "a PUT of a small object, on average", "public: AWS says 100 to 200 ms for small objects"),
    "put_rate": (50, "MB/s", "one PUT's further bytes", "assumed"),
    "get": (0.1, "s", "a GET of a small object", "public: as for PUT"),
    "puts": (3_500, "/s", "PUT, COPY, POST and DELETE requests of a partition of a bucket, at least", "public: Amazon S3"),
    "client": (5, "Mbit/s", "how fast a client sends", "assumed"),
    "price_put": (5.0, "$/million", "PUT", "public: S3 Standard, us-east-1; R2: 4.50"),
    "price_get": (0.4, "$/million", "GET", "public: S3 Standard, us-east-1; R2: 0.36"),
    "price_store": (0.023, "$/GB and month", "stored bytes, the first 50 TB", "public: S3 Standard, us-east-1; R2: 0.015"),
    "price_out": (0.07, "$/GB", "bytes delivered to the internet, 50 to 150 TB a month", "public: S3, us-east-1; R2: 0"),
    "price_cpu": (0.0408, "$/h", "a virtual CPU (m7g.large has two for 0.0816)", "public: EC2 on demand, us-east-1, June 2026"),
}
C = {name: cost[0] for name, cost in COSTS.items()}
BUSY = 0.6  # how much of a processor is planned to be in use

# Today's design: round trips to the database, and rows, from src/metadata/postgres. With bytes on disk, finishing takes
# four statements less, each a round trip.
TRIPS_BEGIN, TRIPS_FINISH, READS = 5, 12, 3
LOCKED_BEGIN, LOCKED_FINISH = 4, 5  # the round trip from which on a row of `total_usage` is held
STATEMENTS_UPLOAD = 22  # those of the beginning and the end, with BEGIN and COMMIT
STEPS_PER_MINUTE = 20_000  # names of steps that the database forgets per minute
SHARDS = 32  # rows of total_usage
CONNECTIONS = 16  # --database-connections
PREFIXES = 256  # two hexadecimal digits
BUDGET = 256  # MiB of a node's memory for bytes on their way to a bucket
ROW = {"200 KiB": 888, "5 MiB": 320}  # bytes of a File's row, measured
ROW_INDEXES = 185  # bytes of a File's row in all indexes, measured
PART = 209  # bytes of a part in table and indexes, measured
EXTENT = 173  # bytes of an extent, measured


def chunks(chunk):
    return -(-FILE // CHUNKS[chunk])


def line(name, count):
    """A cost that was measured at 2 and 49 chunks, for this number of chunks."""
    few, many = C[f"{name}_2"], C[f"{name}_49"]
    return few + (many - few) / 47 * (count - 2)


def is_packed(chunk):
    """Whether a File's objects are packed into one. Two large ones are taken to stay as they are."""
    return chunks(chunk) > 2


def one(chunk):
    """What one upload costs with its bytes in a bucket."""
    count, packed = chunks(chunk), is_packed(chunk)
    pack = line("wal_pack", count) + 2 * C["wal_job"] if packed else 0  # the jobs that pack and that delete
    puts, gets = count + packed, count * packed
    return {
        "requests": count + 1,
        "statements": count + STATEMENTS_UPLOAD,
        "trips": count + TRIPS_BEGIN + TRIPS_FINISH + READS,
        "commits": count + 2 + 5 * packed,
        "steps": 2 + 5 * packed,
        "wal_disk": line("wal_disk", count),
        "wal_object": line("wal_object", count),
        "wal": line("wal_object", count) + pack,
        "db": (C["db_part"] * count + C["db_upload"] + 2 * C["db_job"] * packed) / 1e3,
        "node_disk": C[f"node_{chunk}"] * FILE / 1e9,
        "node": (C[f"node_{chunk}"] + C["node_send"] * (1 + 2 * packed)) * FILE / 1e9,  # packing reads and sends again
        "puts": puts,
        "gets": gets,
        "money": (puts * C["price_put"] + gets * C["price_get"]) / 1e6,
        "inserted": 1 + count + 2 * count + 2 * packed + 2 + 5 * packed,  # upload, parts, extents twice, jobs, steps
        "updated": count + 8 + 3 * packed,  # the upload's row, its user's, the total
        "deleted": count + count + (count + 2) * packed,  # parts, extents, jobs
        "record": ROW[chunk] / 0.7 + ROW_INDEXES + (0 if packed else count * EXTENT),
        "loose": ROW[chunk] / 0.7 + ROW_INDEXES + count * EXTENT,
    }


def at(rate, chunk):
    """What so many uploads per minute take."""
    per, second = one(chunk), rate / 60
    seconds = FILE * 8 / (C["client"] * 1e6)  # that an upload takes its client
    flight = second * seconds
    segment = CHUNKS[chunk] / 2**20
    arriving = segment / 2 + 1 / 16  # MiB, on average; memory is taken in blocks of 128 KiB
    sending = put_seconds(chunk) * chunks(chunk) / seconds * segment
    held = (chunks(chunk) * (C["trip"] + C["db_part"] + C["flush"]) + (TRIPS_BEGIN + TRIPS_FINISH + READS) * C["trip"] + C["db_upload"] + 2 * C["flush"]) / 1e3
    return {
        "requests": per["requests"] * second,
        "bytes": FILE * second,
        "flight": flight,
        "memory": flight * (C["flight"] / 1024 + arriving + sending),
        "budget": flight * (arriving + sending),
        "puts": per["puts"] * second,
        "partitions": math.ceil(per["puts"] * second / C["puts"]),
        "gets": per["gets"] * second,
        "commits": per["commits"] * second,
        "rows": (per["inserted"] + per["updated"] + per["deleted"]) * second,
        "connections": held * second,
        "wal": (per["wal"]) * second,
        "images": C["wal_images"] * second,
        "db": per["db"] * second,
        "node": per["node"] * second,
        "live": flight * chunks(chunk) / 2,
        "record": per["record"] * second * 86_400,
        "files": second * 86_400,
        "requests_money": per["money"] * second * MONTH,
        "stored": FILE * second * 86_400,
        "cpu_money": (per["db"] + per["node"]) * second / BUSY * C["price_cpu"] * MONTH / 3600,
    }


def put_seconds(chunk):
    return C["put"] + CHUNKS[chunk] / (C["put_rate"] * 1e6)


def pack_seconds(chunk):
    """How long packing one File takes: four GETs at once, then a PUT."""
    return chunks(chunk) / 4 * C["get"] + C["put"] + FILE / (C["put_rate"] * 1e6)


# The simulation


class Cluster:
    """Nodes, one database, one bucket; uploads begin at random times."""

    SECONDS, WARM = 2.5, 0.5

    def __init__(self, rate, chunk, nodes, cores, db_cores, partitions, shards=SHARDS):
        world = self.world = World(21)
        self.chunk, self.rate = chunk, rate
        self.cpu = Servers(world, nodes * cores)
        self.pool = Servers(world, nodes * CONNECTIONS)
        self.db = Servers(world, db_cores)
        self.parts = [Servers(world, 1) for _ in range(partitions)]
        self.totals = [Servers(world, 1) for _ in range(shards)]
        self.log = Log(world, C["flush"] / 1e3)
        self.times, self.ends, self.arrived = [], [], 0
        world.after(0, self.arrivals(rate / 60 * chunks(chunk), self.part, self.times))
        world.after(0, self.arrivals(rate / 60, self.begin, []))
        world.after(0, self.arrivals(rate / 60, self.finish, self.ends))
        world.run(self.SECONDS)

    def arrivals(self, per_second, kind, times):
        while True:
            yield self.world.expo(1 / per_second)
            self.arrived += 1
            self.world.after(0, self.timed(kind, times))

    def timed(self, kind, times):
        began = self.world.now
        yield from kind()
        if began > self.WARM:
            times.append(self.world.now - began)

    def use(self, servers, seconds):
        yield servers.take
        yield seconds
        servers.busy += seconds
        servers.give()

    def part(self):
        count = chunks(self.chunk)
        yield from self.use(self.cpu, (C[f"node_{self.chunk}"] + C["node_send"]) * FILE / 1e9 / count)
        yield from self.use(self.parts[int(self.world.random() * len(self.parts))], 1 / C["puts"])
        yield put_seconds(self.chunk) / 2 + self.world.expo(put_seconds(self.chunk) / 2)
        yield self.pool.take
        yield C["trip"] / 1e3
        yield from self.use(self.db, C["db_part"] / 1e3)
        yield self.log.commit
        self.pool.give()

    def begin(self):
        yield from self.transaction(TRIPS_BEGIN, LOCKED_BEGIN)

    def finish(self):
        yield from self.transaction(TRIPS_FINISH, LOCKED_FINISH)

    def transaction(self, trips, locked_at):
        """A transaction of so many round trips, which holds a row of `total_usage` from one of them on."""
        total = self.totals[int(self.world.random() * len(self.totals))]
        yield self.pool.take
        for trip in range(1, trips + 1):
            yield C["trip"] / 1e3
            if trip == locked_at:
                yield total.take
                locked = self.world.now
            yield from self.use(self.db, C["db_upload"] / 2e3 / trips)
        yield self.log.commit
        total.busy += self.world.now - locked
        total.give()
        self.pool.give()

    def shares(self):
        """How much of each resource was in use."""
        groups = {"nodes": [self.cpu], "bucket": self.parts, "database": [self.db], "`total_usage`": self.totals}
        return {name: sum(one.busy for one in group) / sum(one.count for one in group) / self.SECONDS for name, group in groups.items()}

    def too_small(self):
        """The resource whose queue grows, if one does: the busiest one, because others wait for it."""
        queues = [self.cpu, self.pool, self.db, *self.parts, *self.totals]
        if sum(len(one.queue) for one in queues) < self.arrived / 20:
            return ""
        name, share = max(self.shares().items(), key=lambda item: item[1])
        return name if share > 0.9 else "connections"


SETUPS = [  # uploads per minute, chunk, nodes, cores of each, cores of the database, partitions of the bucket
    (1_000, "200 KiB", 2, 2, 2, 1),
    (1_000, "5 MiB", 2, 2, 2, 1),
    (10_000, "200 KiB", 4, 4, 16, 1),
    (10_000, "200 KiB", 4, 4, 4, 4),
    (10_000, "200 KiB", 4, 4, 16, 4),
    (10_000, "5 MiB", 4, 4, 4, 1),
    (30_000, "200 KiB", 10, 4, 16, 9),
    (100_000, "5 MiB", 30, 4, 16, 1),
    (200_000, "5 MiB", 60, 4, 32, 3),
    (400_000, "5 MiB", 120, 4, 64, 5),
]


# Tables


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else math.nan


def number(value):
    """Formats with three significant digits, and separates thousands."""
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    value = round(value, digits)
    return f"{value:,.{max(0, digits)}f}".rstrip("0").rstrip(".") if digits > 0 else f"{value:,.0f}"


def size(value, per=""):
    for unit in ["B", "KB", "MB", "GB", "TB", "PB"]:
        if value < 1000:
            return f"{number(value)} {unit}{per}"
        value /= 1000
    return f"{number(value)} EB{per}"


def table(head, rows):
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def costs():
    return table(["what", "cost", "source"], [[what, f"{value:,} {unit}", source] for value, unit, what, source in COSTS.values()])


def upload():
    per = {chunk: one(chunk) for chunk in CHUNKS}
    rows = [
        ["chunks", *(number(chunks(chunk)) for chunk in per)],
        ["requests of the client (chunks, `?done`)", *(number(each["requests"]) for each in per.values())],
        ["statements to the database, without packing (on disk 4 less)", *(number(each["statements"]) for each in per.values())],
        ["round trips to the database, the same", *(number(each["trips"]) for each in per.values())],
        ["commits, each with a sync of the log or a share of one, with packing", *(number(each["commits"]) for each in per.values())],
        ["rows inserted, bytes in a bucket", *(number(each["inserted"]) for each in per.values())],
        ["rows updated, bytes in a bucket", *(number(each["updated"]) for each in per.values())],
        ["rows deleted, bytes in a bucket", *(number(each["deleted"]) for each in per.values())],
        ["log (WAL), bytes on disk", *(size(each["wal_disk"]) for each in per.values())],
        ["log, bytes in a bucket", *(size(each["wal_object"]) for each in per.values())],
        ["the same with packing", *(size(each["wal"]) if is_packed(chunk) else "not packed" for chunk, each in per.items())],
        ["log of full pages, soon after a checkpoint", *(size(C["wal_images"]) for _ in per)],
        ["database CPU", *(f"{number(each['db'] * 1e3)} ms" for each in per.values())],
        ["server CPU, bytes on disk", *(f"{number(each['node_disk'] * 1e3)} ms" for each in per.values())],
        ["server CPU, bytes in a bucket, packing included", *(f"{number(each['node'] * 1e3)} ms" for each in per.values())],
        ["requests to the bucket: PUT", *(number(each["puts"]) for each in per.values())],
        ["requests to the bucket: GET (packing)", *(number(each["gets"]) for each in per.values())],
        ["their price", *(f"${each['money']:.6f}" for each in per.values())],
        ["record of the File, in table and indexes, packed or of two objects", *(size(each["record"]) for each in per.values())],
        ["the same before it is packed", *(size(each["loose"]) if is_packed(chunk) else "" for chunk, each in per.items())],
    ]
    return table(["one upload of 10 MB", *per], rows)


def rates():
    columns = [(rate, chunk, at(rate, chunk)) for rate in RATES for chunk in CHUNKS]

    def row(title, form):
        return [title, *(form(each) for _, _, each in columns)]

    rows = [
        row("requests per second", lambda each: number(each["requests"])),
        row("bytes received per second", lambda each: size(each["bytes"])),
        row("the same in Gbit/s, in and out again", lambda each: number(each["bytes"] * 8 / 1e9)),
        row("uploads in progress = connections of clients", lambda each: number(each["flight"])),
        row("memory of all nodes", lambda each: f"{number(each['memory'] / 1024)} GiB"),
        row("of it bytes on their way to the bucket", lambda each: f"{number(each['budget'] / 1024)} GiB"),
        row("server CPUs in use", lambda each: number(each["node"])),
        row("PUT per second", lambda each: number(each["puts"])),
        row("partitions of a bucket, at 3,500 PUT/s", lambda each: number(each["partitions"])),
        row("GET per second (packing)", lambda each: number(each["gets"])),
        row("commits per second", lambda each: number(each["commits"])),
        row("rows inserted, updated and deleted per second", lambda each: number(each["rows"])),
        row("rows in `parts` (half of all uploads in progress)", lambda each: number(each["live"])),
        row("database CPUs in use", lambda each: number(each["db"])),
        row("database connections in use", lambda each: number(each["connections"])),
        row("log per second", lambda each: size(each["wal"])),
        row("log of full pages per second, soon after a checkpoint", lambda each: size(each["images"])),
        row("log per day, with full pages", lambda each: size((each["wal"] + each["images"]) * 86_400)),
        row("Files per day", lambda each: number(each["files"])),
        row("their records", lambda each: size(each["record"])),
        row("their bytes", lambda each: size(each["stored"])),
        row("money in 30 days: requests to the bucket", lambda each: "$" + number(each["requests_money"])),
        row("CPUs of servers and database, 60 % in use", lambda each: "$" + number(each["cpu_money"])),
        row("the bytes of 30 days, stored for 30 days", lambda each: "$" + number(each["stored"] / 1e9 * C["price_store"] * 30)),
        row("each File delivered once to the internet", lambda each: "$" + number(each["stored"] / 1e9 * C["price_out"] * 30)),
    ]
    return table(["uploads per minute, chunks", *(f"{rate:,}, {chunk}" for rate, chunk, _ in columns)], rows)


def limits():
    """The rate of uploads per minute at which each thing is used up."""
    per = {chunk: one(chunk) for chunk in CHUNKS}
    trips = TRIPS_BEGIN - LOCKED_BEGIN + TRIPS_FINISH - LOCKED_FINISH
    held = trips * C["trip"] + 2 * 1.5 * C["flush"] + C["db_upload"] / 4  # ms; a commit waits for half a sync and one

    def row(what, figure, then):
        return [what, *(number(figure(chunk)) if figure(chunk) else "" for chunk in CHUNKS), then]

    rows = [
        row("one worker that packs, on one node", lambda chunk: 60 / pack_seconds(chunk) if is_packed(chunk) else 0, "chunks of 5 MiB; several workers (a change to the server)"),
        row("256 MiB of memory for a bucket, on one node", lambda chunk: 60 * BUDGET / at(60, chunk)["budget"], "more memory for it; nodes"),
        row("thumbnails on one node of 8 CPUs (four at once), if all uploads are photos", lambda chunk: 60 * 4 / C["thumbnail"], "nodes"),
        row("one node of 4 CPUs, 60 % in use", lambda chunk: 60 * 4 * BUSY / per[chunk]["node"], "nodes"),
        row("a link of 10 Gbit/s, 70 % in use", lambda chunk: 60 * 0.7 * 10e9 / 8 / FILE, "nodes"),
        row("`steps`: 20,000 names forgotten per minute", lambda chunk: STEPS_PER_MINUTE / per[chunk]["steps"], "a change to the server: forget all that are old"),
        row("one partition of a bucket: 3,500 PUT/s", lambda chunk: 60 * C["puts"] / per[chunk]["puts"], "nothing: S3 splits it, if the rate grows slowly"),
        row("a database of 16 CPUs, 60 % in use", lambda chunk: 60 * 16 * BUSY / per[chunk]["db"], "chunks of 5 MiB; more CPUs; then users over several databases"),
        row("log on a disk of 125 MB/s, half in use", lambda chunk: 60 * 62.5e6 / (per[chunk]["wal"] + C["wal_images"]), "a faster disk; rarer checkpoints"),
        row("32 rows of `total_usage`, 70 % in use", lambda chunk: 60 * SHARDS * 0.7 / (held / 1e3), "more rows (a migration); users over several databases"),
        row("256 prefixes of a bucket, all split", lambda chunk: 60 * PREFIXES * C["puts"] / per[chunk]["puts"], "several buckets"),
    ]
    return table(["what is used up", *(f"uploads per minute, {chunk}" for chunk in CHUNKS), "what to add"], rows)


def simulation():
    def percent(share):
        return f"{share:.0%}".replace("%", " %")

    def milliseconds(values, share):
        return number(float(f"{quantile(values, share) * 1e3:.2g}"))

    rows = []
    for setup in SETUPS:
        rate, chunk, nodes, cores, db_cores, partitions = setup
        cluster = Cluster(*setup)
        shares, full = cluster.shares(), cluster.too_small()
        times = [milliseconds(cluster.times, 0.5), milliseconds(cluster.times, 0.99), milliseconds(cluster.ends, 0.99)]
        rows.append(
            [f"{rate:,}, {chunk}", f"{nodes} x {cores}", str(db_cores), str(partitions), *(percent(min(1, share)) for share in shares.values())]
            + (["grows", "grows", "grows", f"**{full}**"] if full else [*times, ""])
        )
    head = ["uploads per minute", "nodes x CPUs", "database CPUs", "partitions", "nodes in use", "bucket", "database", "`total_usage`", "chunk p50, ms", "p99", "`?done` in the database p99", "too small"]
    return table(head, rows)


TABLES = {"costs": costs, "upload": upload, "rates": rates, "limits": limits, "simulation": simulation}


def main():
    tables = {name: make() for name, make in TABLES.items()}
    if "--write" not in sys.argv[1:] and "--check" not in sys.argv[1:]:
        print("\n\n".join(f"{name}\n\n{text}" for name, text in tables.items()))
        return
    page = PAGE.read_text()

    def fill(found):
        return f"{found[1]}\n\n{tables[found[2]]}\n\n{found[3]}"

    filled, count = re.subn(r"(<!-- bench/sizing.py writes: (\w+) -->).*?(<!-- to here -->)", fill, page, flags=re.DOTALL)
    if count != len(tables):
        sys.exit(f"{PAGE.name} has places for {count} tables, not for {len(tables)}")
    if "--write" in sys.argv[1:]:
        PAGE.write_text(filled)
    elif filled != page:
        sys.exit(f"{PAGE.name} has other tables than this prints: run bench/sizing.py --write, and read the text around them again")


if __name__ == "__main__":
    main()
