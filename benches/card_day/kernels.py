"""Sums the times that `ncu --metrics gpu__time_duration.sum --csv` gave: a row per kernel, the longest first."""

import collections
import csv
import re
import sys

times, counts = collections.Counter(), collections.Counter()
with open(sys.argv[1]) as lines:
    rows = csv.DictReader(line for line in lines if line.startswith('"'))
    for row in rows:
        if row.get("Metric Name") != "gpu__time_duration.sum":
            continue
        name = re.sub(r"<.*|\(.*", "", row["Kernel Name"])
        scale = {"ns": 1e-3, "nsecond": 1e-3, "us": 1.0, "usecond": 1.0, "ms": 1e3}[row["Metric Unit"]]
        times[name] += float(row["Metric Value"].replace(",", "")) * scale
        counts[name] += 1
whole = sum(times.values())
print(f"{sum(counts.values())} launches, {whole:.0f} us")
for name, time in times.most_common(25):
    print(f"{time:10.0f} us {100 * time / max(whole, 1e-9):5.1f} % {counts[name]:6} x {time / counts[name]:8.1f} us  {name[:90]}")
