#!/usr/bin/env python3
"""A region's day, computed: the load that a number of laptops put on the centre's server.

usage: fleet.py [--laptops 1000] [--outage HOURS] [--seed N] [--json]

Minute by minute, each laptop drives, visits, records, and has a network or not. What one visit and one idle laptop cost is measured on the
real programs (docs/fleet.md says how); the day's shape (visits, holes in the network, lent recorders) is assumed, and every assumption is
one line below.
"""

import argparse
import json
import math
import random

# Measured: ess-agent against ess-server, from the server's request log (docs/fleet.md).
POLL_REQUESTS = 5           # discovery (304) and four searches
POLL_SECONDS = 300          # worklist-interval
DOCUMENT_REQUESTS = 5       # POST, PATCH, and two to three questions for the receipt
VISIT_REQUESTS = 6          # two transactions of facts, the visit's state read and written, OPTIONS, one more look
ECG_BYTES = 195_654 + 128_080      # DICOM and original of a 12-lead card recording
NIGHT_BYTES = 2 * 8 * 3600 * 8     # eight hours of pulse oximetry, EDF+ and original, about 8 bytes a second each
POLL_BYTES = 4_000
FACTS_BYTES = 12_000

# Assumed: the day's shape.
VISITS = (4, 9)             # a laptop's visits a day, evenly
FIRST, LAST = 8 * 60, 18 * 60
ECGS_PER_VISIT = 1.4
NIGHTS_PER_VISIT = 0.12     # a lent recorder that comes back
ECHO_SHARE, ECHO_BYTES = 0.25, 180_000_000  # a DICOM study from a stick; sent over the office's network only
NETWORK_AT_VISIT = 0.35     # zones sous-denses: a usable network at the patient's home
RETURNS_TO_NETWORK = 20     # minutes to the next place with a network, on average
OFFICE = (18 * 60, 19 * 60)  # everybody is back between these minutes
LINK = {"road": 250_000, "office": 2_500_000}  # bytes per second up
WORKDAYS = 225


class Laptop:
    def __init__(self, random):
        self.random = random
        count = random.randint(*VISITS)
        self.visits = sorted(random.randint(FIRST, LAST - 30) for _ in range(count))
        self.office = random.randint(*OFFICE)
        self.online_until, self.next_online, self.waiting, self.poll_phase = 0, FIRST, [], random.randrange(POLL_SECONDS)
        self.bytes_left = 0

    def documents(self):
        def poisson(mean):
            limit, product, number = math.exp(-mean), self.random.random(), 0
            while product > limit:
                product, number = product * self.random.random(), number + 1
            return number
        made = [ECG_BYTES / 2] * (2 * poisson(ECGS_PER_VISIT)) + [NIGHT_BYTES / 2] * (2 * poisson(NIGHTS_PER_VISIT))
        echo = [ECHO_BYTES] if self.random.random() < ECHO_SHARE else []
        return made, echo

    def is_online(self, minute):
        if minute >= self.office:
            return "office"
        if minute >= self.next_online and self.online_until <= minute:
            self.online_until = minute + self.random.randint(5, 40)
            self.next_online = self.online_until + self.random.expovariate(1 / RETURNS_TO_NETWORK)
        return "road" if minute < self.online_until else None


def simulate(laptops, outage, seed):
    chance = random.Random(seed)
    fleet = [Laptop(chance) for _ in range(laptops)]
    requests, received, waiting = [0.0] * 1440, [0.0] * 1440, [0] * 1440
    delays, count = [], 0
    down = (14 * 60, 14 * 60 + int(outage * 60))
    for minute in range(FIRST - 60, 1440):
        for laptop in fleet:
            place = laptop.is_online(minute)
            for _ in range(laptop.visits.count(minute)):
                small, echo = laptop.documents()
                laptop.waiting += [[minute, size, False] for size in small] + [[minute, size, True] for size in echo]
                if laptop.random.random() < NETWORK_AT_VISIT:
                    laptop.online_until = max(laptop.online_until, minute + 30)
                if place and not down[0] <= minute < down[1]:
                    requests[minute] += VISIT_REQUESTS
                    received[minute] += FACTS_BYTES
            waiting[minute] += len(laptop.waiting)
            if not place:
                continue
            if down[0] <= minute < down[1]:
                # Refused connections: one attempt, its pause at its longest (retry-max, jittered).
                requests[minute] += 60 / POLL_SECONDS
                continue
            requests[minute] += POLL_REQUESTS * 60 / POLL_SECONDS
            received[minute] += POLL_BYTES * 60 / POLL_SECONDS
            budget = LINK[place] * 60
            # The smallest first, as the agent does; large studies wait for the office.
            for item in sorted(laptop.waiting, key=lambda item: item[1]):
                if budget <= 0 or (item[2] and place != "office"):
                    continue
                sent = min(item[1], budget)
                item[1] -= sent
                budget -= sent
                received[minute] += sent
                if item[1] <= 0:
                    requests[minute] += DOCUMENT_REQUESTS
                    delays.append(minute - item[0])
                    count += 1
            laptop.waiting = [item for item in laptop.waiting if item[1] > 0]
    bytes_a_day = sum(received)
    delays.sort()
    return {
        "laptops": laptops, "outage-hours": outage, "visits": sum(len(l.visits) for l in fleet), "documents": count,
        "requests-a-day": round(sum(requests)), "mean-requests-a-second": round(sum(requests) / (11 * 3600), 1),
        "peak-requests-a-second": round(max(requests) / 60, 1), "gigabytes-a-day": round(bytes_a_day / 1e9, 1),
        "peak-megabits-a-second": round(max(received) * 8 / 60 / 1e6, 1), "most-documents-waiting": max(waiting),
        "left-at-midnight": sum(len(l.waiting) for l in fleet),
        "median-minutes-to-receipt": delays[len(delays) // 2], "minutes-to-receipt-95": delays[int(len(delays) * 0.95)],
        "terabytes-a-year": round(bytes_a_day * WORKDAYS / 1e12, 1), "documents-a-year": count * WORKDAYS,
        "fhir-resources-a-year": (count * 2 + sum(len(l.visits) for l in fleet) * 3) * WORKDAYS,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--laptops", type=int, default=1000)
    parser.add_argument("--outage", type=float, default=0, help="hours that the server is down, from 14:00")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = simulate(arguments.laptops, arguments.outage, arguments.seed)
    if arguments.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key.replace('-', ' '):28} {value:>14,}")


main()
