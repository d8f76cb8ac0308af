"""How long a user waits for nothing: `sparring --help` and `import sparring`, medians of fresh processes.

python benchmarks/startup.py [--runs 11]
"""

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "sparring --help": [sys.executable, "-m", "sparring", "--help"],
    "python -c 'import sparring'": [sys.executable, "-c", "import sparring"],
    "python -c pass": [sys.executable, "-c", "pass"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11)
    runs = parser.parse_args().runs
    seconds = {name: [] for name in COMMANDS}
    for _ in range(runs):  # in turn, so that a noisy moment hits all alike
        for name, command in COMMANDS.items():
            begin = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            seconds[name].append(time.perf_counter() - begin)
    for name, each in seconds.items():
        print(f"{name:30} median {statistics.median(each):.3f} s, min {min(each):.3f}, max {max(each):.3f}")


if __name__ == "__main__":
    main()
