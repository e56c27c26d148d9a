#!/usr/bin/python3
"""sharing.py [PROCESSES [SECONDS]]: the workloads of sharing.cpp on Python's multiprocessing, and on its Manager, in the
same form. A figure is the first that takes so many seconds (0.2)."""
import json
import multiprocessing
import os
import sys
import time


ENOUGH_SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 0.2


def add_to_value(shared, times):
    value = shared["value"]
    for _ in range(times):
        with value.get_lock():
            value.value += 1


def lock_and_unlock(shared, times):
    lock = shared["lock"]
    for _ in range(times):
        with lock:
            pass


def put_and_get(shared, times):
    queue = shared["queue"]
    for _ in range(times):
        queue.put(1)
        queue.get()


def add_under_lock(shared, times):
    value, lock = shared["value"], shared["lock"]
    for _ in range(times):
        with lock:
            value.value += 1


def seconds_of(operation, shared, processes, times):
    """All start together; the time from there to the last one's end."""
    barrier = multiprocessing.Barrier(processes + 1)

    def work():
        barrier.wait()
        operation(shared, times)

    workers = [multiprocessing.Process(target=work) for _ in range(processes)]
    for worker in workers:
        worker.start()
    barrier.wait()
    begin = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - begin


def measure(peer, workload, operation, shared, processes):
    times, seconds = 500, 0.0
    while seconds < ENOUGH_SECONDS:
        times *= 2
        seconds = seconds_of(operation, shared, processes, times)
    tasks = processes * times
    print(json.dumps({"peer": peer, "workload": workload, "tasks": tasks, "seconds": seconds,
                      "per_task_us": seconds / tasks * 1e6}), flush=True)


def main():
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else len(os.sched_getaffinity(0))
    multiprocessing.set_start_method("fork")
    own = {"value": multiprocessing.Value("l", 0), "lock": multiprocessing.Lock(), "queue": multiprocessing.Queue()}
    measure("multiprocessing", "shared_add", add_to_value, own, processes)
    measure("multiprocessing", "shared_lock", lock_and_unlock, own, processes)
    measure("multiprocessing", "shared_lock_alone", lock_and_unlock, own, 1)
    measure("multiprocessing", "shared_queue", put_and_get, own, processes)
    with multiprocessing.Manager() as manager:
        managed = {"value": manager.Value("l", 0), "lock": manager.Lock(), "queue": manager.Queue()}
        measure("multiprocessing.Manager", "shared_add", add_under_lock, managed, processes)
        measure("multiprocessing.Manager", "shared_lock", lock_and_unlock, managed, processes)
        measure("multiprocessing.Manager", "shared_lock_alone", lock_and_unlock, managed, 1)
        measure("multiprocessing.Manager", "shared_queue", put_and_get, managed, processes)


if __name__ == "__main__":
    main()
