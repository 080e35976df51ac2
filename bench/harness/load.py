"""Runs the load generator: a process on its own core that carries out one job.

Knows no servers.
"""

import json
import subprocess
import time

from . import machine


class Load:
    """A running job; a context manager, so that the process never outlives its user."""

    def __init__(self, program, job, cores=machine.LOAD_CORE):
        command = ["taskset", "--cpu-list", cores, str(program)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._send(json.dumps(job))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()

    def expect(self, word):
        """Waits until the load reports this step; `go` lets it continue."""
        line = self._read()
        if line != word:
            raise RuntimeError(f"the load reported {line!r} instead of {word!r}")

    def go(self):
        self._send("go")

    def result(self):
        return json.loads(self._read())

    def _send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the load failed; its error is above")
        return line.strip()


def measured(program, job, server, cores=machine.LOAD_CORE):
    """Carries out a job and adds what the server used for it. Deferred work counts: the server's processor time is
    read a moment after the last reply."""
    with Load(program, job, cores) as load:
        load.expect("ready")
        processes = server.processes()
        machine.forget_peak(processes)
        before = machine.cpu_seconds(processes), machine.cpu_seconds([load.process.pid]), machine.machine_cpu_seconds()
        load.go()
        result = load.result()
        load_cpu = machine.cpu_seconds([load.process.pid]) - before[1]
        time.sleep(0.3)
        result["cpu"] = machine.cpu_seconds(processes) - before[0]
        result["load_share"] = load_cpu / result["seconds"]
        result["machine_cpu"] = machine.machine_cpu_seconds() - before[2]
        result["peak"] = machine.peak_bytes(processes)
    return result
