"""How often a loop around an arm succeeds within a mean of tokens, from the samples of docs/samples.

    python -m benchmarks.loops guess_pairs_0 --arm base --tokens 80

So a response can be compared with a loop around a model of another domain or spec, which no single report holds. The
loop samples until the domain's check accepts, with and without a check of its steps.
"""

import argparse
from statistics import fmean

from astro_factory.evaluation.report import by_problem
from astro_factory.evaluation.sequential import controls
from benchmarks.evidence import Export


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", help="name of an export, without its ending")
    parser.add_argument("--arm", required=True)
    parser.add_argument("--tokens", type=float, required=True, help="what the loop may spend on average")
    options = parser.parse_args()
    samples = [arms[options.arm] for arms in by_problem(Export(options.export).rows)]
    for name, loop in controls(samples).items():
        found = loop.at(loop.limit_for(options.tokens))
        print(f"{name}: {fmean(found.correct):.3f} for {fmean(found.tokens):.1f} tokens", end="")
        print(f", out of samples in {fmean(found.exhausted):.3f}")


if __name__ == "__main__":
    main()
