"""Mutation testing with Cosmic Ray: change the code in small ways, and show which changes no test notices.

`python -m tests.mutants` works on copies, takes a random sample of each package, and ends by itself.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.mutants.judge import Outcome, judge, packages


def main() -> None:
    """Test the packages, two at once, and print the score and the survivors."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="the longest time for a package (default 30)")
    parser.add_argument("--most", type=int, default=80, help="mutants of a package (default 80)")
    parser.add_argument("--seed", type=int, default=1, help="which sample is taken (default 1)")
    parser.add_argument("--jobs", type=int, default=2, help="packages tested at once (default 2)")
    parser.add_argument(
        "--least", type=float, default=85, help="the percentage below which the command fails (default 85)"
    )
    parser.add_argument("--only", action="append", help="one package; may be repeated")
    options = parser.parse_args()
    chosen = [package for package in packages() if not options.only or package.name in options.only]
    with ProcessPoolExecutor(options.jobs, max_tasks_per_child=1) as pool:
        test = partial(judge, minutes=options.minutes, most=options.most, seed=options.seed)
        outcomes = list(pool.map(test, chosen))
    sys.exit(report(outcomes, options.least))


def report(outcomes: list[Outcome], least: float) -> int:
    """Print what was found. Return 1 if the score is too low, else 0."""
    for outcome in outcomes:
        for survivor in outcome.survivors:
            print(f"survived in {outcome.package}: {survivor}\n")
    for outcome in outcomes:
        tested = outcome.killed + len(outcome.survivors)
        print(
            f"{outcome.package}: {outcome.killed} of {tested} mutants killed, {outcome.left} not tested for lack of time"
        )
    killed = sum(outcome.killed for outcome in outcomes)
    tested = killed + sum(len(outcome.survivors) for outcome in outcomes)
    score = 100 * killed / max(tested, 1)
    print(f"score: {score:.0f} % of {tested}")
    return int(score < least)


if __name__ == "__main__":
    main()
