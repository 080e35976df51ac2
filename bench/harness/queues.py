"""Simulates processes that wait in turn for servers, and for a log that they flush together. Doesn't know whose they are."""

import heapq
import math
import random
from collections import deque


class Servers:
    """So many servers of one queue."""

    def __init__(self, world, count):
        self.world, self.free, self.count, self.queue, self.busy = world, count, count, deque(), 0.0

    def take(self, process):
        if self.free:
            self.free -= 1
            self.world.after(0, process)
        else:
            self.queue.append(process)

    def give(self):
        if self.queue:
            self.world.after(0, self.queue.popleft())
        else:
            self.free += 1


class Log:
    """Commits that wait together are flushed together."""

    def __init__(self, world, seconds):
        self.world, self.seconds, self.waiting, self.flushing = world, seconds, [], False

    def commit(self, process):
        self.waiting.append(process)
        if not self.flushing:
            self.flush()

    def flush(self):
        batch, self.waiting, self.flushing = self.waiting, [], True
        self.world.at(self.world.now + self.seconds, lambda: self.flushed(batch))

    def flushed(self, batch):
        self.flushing = False
        if self.waiting:
            self.flush()
        for process in batch:
            self.world.after(0, process)


class World:
    """Time, and what happens in it. Processes are generators that yield what they wait for."""

    def __init__(self, seed):
        self.now, self.events, self.number, self.random = 0.0, [], 0, random.Random(seed).random

    def at(self, time, call):
        self.number += 1
        heapq.heappush(self.events, (time, self.number, call))

    def after(self, seconds, process):
        self.at(self.now + seconds, lambda: self.step(process))

    def step(self, process):
        """Runs a process to its next wait: seconds, or a function that takes it on."""
        wait = next(process, None)
        if wait is None:
            return
        if callable(wait):
            wait(process)
        else:
            self.after(wait, process)

    def run(self, until):
        while self.events and self.events[0][0] < until:
            self.now, _, call = heapq.heappop(self.events)
            call()

    def expo(self, mean):
        return -mean * math.log(1 - self.random())
