"""Search the pruning settings of a model on your own images, from Python.

    python examples/search_from_python.py --data examples/questions.jsonl --budget 30

Each line of the file is one question: {"image": PATH, "question": TEXT, "answer": TEXT}. You can stop the
script at any time; the same command resumes from the store.
"""

from __future__ import annotations

import argparse

from search import SearchConfig, run


def main() -> None:
    parser = argparse.ArgumentParser(description="Search on your own images.")
    parser.add_argument(
        "--data", default="examples/questions.jsonl", help="your questions, in any form that --data takes"
    )
    parser.add_argument("--model", default="qwenvl", help="qwenvl, llava-7b, llava-13b, a folder or a hub id")
    parser.add_argument("--budget", type=int, default=30, help="trials (default 30)")
    options = parser.parse_args()

    config = SearchConfig(
        model=options.model,
        budget=options.budget,
        data=options.data,
        metric="vqa_accuracy",
        storage="sqlite:///himap.db",
    )
    for study in run(config).studies:
        print(f"{study.key.name}: {len(study.trials)} trials, hypervolume {study.hypervolume:.3f}")
        for trial in study.front:
            print(f"  {100 * trial.flops_ratio:5.1f} % of the FLOPs: accuracy {100 * trial.accuracy:.1f} %")
        print(f"  preset: {study.preset}")


if __name__ == "__main__":
    main()
