"""Mutation testing with Cosmic Ray: change the code in small ways, and show which changes no test notices.

`python -m tests.mutants` works on copies, takes a random sample of each package, and ends by itself.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.mutants.judge import Outcome, judge
from tests.mutants.packages import packages


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
    """Print what was found. Return 1 if the score is too low or a test fails anyhow, else 0."""
    for outcome in outcomes:
        for survivor in outcome.survivors:
            print(f"survived in {outcome.package}: {survivor}\n")
        for test in outcome.red:
            print(f"fails without a mutation in {outcome.package}: {test}\n")
        for mutant in outcome.timed_out:
            print(f"never ended in {outcome.package}: {mutant}\n")
    for outcome in outcomes:
        print(
            f"{outcome.package}: {outcome.caught} of {outcome.tested} mutants caught, {len(outcome.timed_out)} of them"
            f" because the tests never ended; {outcome.no_program} did not start; {outcome.left} not tested for lack of time"
        )
    tested = sum(outcome.tested for outcome in outcomes)
    score = 100 * sum(outcome.caught for outcome in outcomes) / max(tested, 1)
    print(f"score: {score:.0f} % of {tested}")
    return int(score < least or any(outcome.red for outcome in outcomes))


if __name__ == "__main__":
    main()
