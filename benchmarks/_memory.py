"""Peak memory of a benchmark's process."""

from pathlib import Path


def peak_mib() -> float:
    """Largest resident memory of this process in MiB (Linux).

    From VmHWM: ru_maxrss starts at what the parent process had, and would hide a small child under a large parent.
    """
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
