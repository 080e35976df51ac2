"""Reads processor time, memory and the description of the machine.

Knows no servers or loads.
"""

import os
import platform
import re
import shutil
import time
from pathlib import Path

SERVER_CORE, LOAD_CORE = "0", "1"


def tree(root):
    """Returns a process and all its descendants."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it has exited
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = [root]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


def cpu_seconds(processes):
    """User and system time of processes, including ended threads, with nanosecond resolution (clock_getcpuclockid(3))."""
    return sum(time.clock_gettime((~process << 3) | 2) for process in processes)


def machine_cpu_seconds():
    """Processor time of all cores so far, including kernel threads, with a resolution of 10 ms."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _wait, irq, softirq, _steal = map(int, fields)
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def forget_peak(processes):
    """Resets what peak_bytes returns (proc(5), clear_refs)."""
    for process in processes:
        Path(f"/proc/{process}/clear_refs").write_text("5")


def peak_bytes(processes):
    return sum(_status(process, "VmHWM") for process in processes)


def resident_bytes(processes):
    return sum(_status(process, "VmRSS") for process in processes)


def _status(process, key):
    text = Path(f"/proc/{process}/status").read_text()
    return int(re.search(rf"^{key}:\s+(\d+) kB$", text, re.M)[1]) * 1024


def emptied(folder):
    """Empties the folder, and flushes everything. Old files are truncated and moved aside instead of deleted: for some
    minutes, ext4 checks freed inodes twice, which would slow down the next program that creates files."""
    if folder.exists():
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                os.truncate(path, 0)
        aside = folder.parent / "aside"
        aside.mkdir(exist_ok=True)
        folder.rename(aside / str(time.monotonic_ns()))
    folder.mkdir(parents=True)
    os.sync()
    return folder


def touch_memory(folder, size):
    """Fills the page cache once, because the first use of memory in a virtual machine takes several times as long."""
    block = bytes(1 << 20)
    path = folder / "touched"
    with open(path, "wb", buffering=0) as file:
        for _ in range(size >> 20):
            file.write(block)
    path.unlink()


def busy_share():
    """Returns the share of all cores that other programs use during a second."""
    before = machine_cpu_seconds()
    time.sleep(1)
    return (machine_cpu_seconds() - before) / os.cpu_count()


def sync_ms(folder, times=40):
    """Returns the median time of syncing 4 KiB to this disk; no durable reply can be faster."""
    path, taken = folder / "synced", []
    with open(path, "wb", buffering=0) as file:
        for _ in range(times):
            begun = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - begun)
    path.unlink()
    return sorted(taken)[times // 2] * 1e3


def describe(folder):
    """Describes the machine."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    # The folder is on the mount with the longest matching path; of several with the same path, the last one hides the others.
    holding = [mount for mount in mounts if folder.is_relative_to(mount[1])]
    return {
        "processor": cpu[1] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release().split("-")[0],
        "file_system": max(reversed(holding), key=lambda mount: len(mount[1]))[2],
        "busy": busy_share(),
        "sync_ms": sync_ms(folder),
    }
