"""The script that everybody starts with: describe each alias, one after the other, and print what differs.

`python naive_script.py URI WANTED`, where WANTED is a JSON file with each alias and its collection.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pymilvus import MilvusClient


def main(uri: str, desired: str) -> None:
    client = MilvusClient(uri)
    for alias, collection in json.loads(Path(desired).read_text()).items():
        current = client.describe_alias(alias)["collection_name"]
        if current != collection:
            print(f"{alias}: {current} -> {collection}")


if __name__ == "__main__":
    main(*sys.argv[1:])
